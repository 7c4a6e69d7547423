"""DeepSpeed's estimate, against figures that its documentation and its own function give."""

from __future__ import annotations

import pytest

from llmops_cli.core.errors import UsageError
from llmops_cli.sizing.zero import ZeroEstimate, zero_estimate

GIB = 2**30


def _t5(**wishes: object) -> ZeroEstimate:
    """The 3B model of DeepSpeed's documentation (docs/code-docs/source/memory.rst)."""
    asked = {"parameters": 2851e6, "largest_layer": 32e6, "stage": 3, "devices": 8, **wishes}
    return zero_estimate(**asked)  # type: ignore[arg-type]


def test_documented_figures_of_stage_three() -> None:
    assert _t5(offload="parameters").device / GIB == pytest.approx(0.12, abs=0.005)
    assert _t5(offload="optimizer").device / GIB == pytest.approx(0.78, abs=0.005)
    assert _t5(offload="optimizer").host / GIB == pytest.approx(63.73, abs=0.05)
    assert _t5().device / GIB == pytest.approx(6.09, abs=0.01)


def test_documented_figures_of_stage_two() -> None:
    assert _t5(stage=2, offload="optimizer").device / GIB == pytest.approx(5.31, abs=0.01)
    assert _t5(stage=2, offload="optimizer").host / GIB == pytest.approx(127.45, abs=0.05)
    assert _t5(stage=2).device / GIB == pytest.approx(15.93, abs=0.02)


def test_other_stages_have_no_estimate() -> None:
    with pytest.raises(UsageError, match="stages 2 and 3"):
        _t5(stage=1)
