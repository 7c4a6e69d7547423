"""Unknown names get the nearest known one."""

from __future__ import annotations

import pytest

from llmops_cli.core.errors import UsageError
from llmops_cli.engines import load_engine, parse_options
from llmops_cli.quantize.gguf import canonical_scheme


@pytest.mark.parametrize(
    ("call", "suggestion"),
    [
        (lambda: load_engine("lamacpp"), "llamacpp"),
        (lambda: canonical_scheme("q4km"), "Q4_K_M"),
        (lambda: parse_options("llamacpp", load_engine("llamacpp"), {"quueue": "4"}), "queue"),
    ],
)
def test_did_you_mean(call: object, suggestion: str) -> None:
    with pytest.raises(UsageError) as error:
        call()  # type: ignore[operator]
    assert f"did you mean '{suggestion}'?" == error.value.hint


def test_schemes_are_case_insensitive() -> None:
    assert canonical_scheme("q4_k_m") == "Q4_K_M"


def test_every_scheme_is_known_to_the_library() -> None:
    pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")
    import llama_cpp

    from llmops_cli.quantize.gguf import FLOAT_SCHEMES, SCHEMES

    known = {
        n.removeprefix("LLAMA_FTYPE_MOSTLY_")
        for n in dir(llama_cpp)
        if n.startswith("LLAMA_FTYPE_MOSTLY_")
    }
    assert set(SCHEMES) - set(FLOAT_SCHEMES) == known - set(FLOAT_SCHEMES)
