"""What `llmops doctor` says of quantizers: what each makes here, and why it makes nothing."""

from __future__ import annotations

import sys
from importlib.util import find_spec

from llmops_cli.quantize.methods import METHODS, QUANTIZERS
from llmops_cli.quantize.ready import QuantizerStatus, quantizer_statuses
from llmops_cli.runtime.env import EnvStatus

WHY = "environment is missing"


def statuses(python: str | None, *, has_gpu: bool) -> dict[str, QuantizerStatus]:
    envs = {}
    for quantizer in QUANTIZERS.values():
        name = quantizer.environment
        problem = None if python else WHY
        envs[name] = EnvStatus(
            name=name,
            requirements=f"{name}.txt",
            origin="venv",
            python=python,
            problem=problem,
        )
    return {status.name: status for status in quantizer_statuses(envs, has_gpu=has_gpu)}


def test_every_quantizer_and_every_method_is_told_of() -> None:
    found = statuses(None, has_gpu=True)
    assert found.keys() == QUANTIZERS.keys()
    told = {method for status in found.values() for method in status.methods}
    assert told == METHODS.keys()
    assert all(status.problem == WHY for status in found.values())
    assert not any(status.needs_cuda for status in found.values())


def test_what_needs_a_gpu_is_named_where_there_is_none() -> None:
    found = statuses(None, has_gpu=False)
    assert found["gptqmodel"].needs_cuda == ["awq"]
    assert "awq" not in found["gptqmodel"].methods
    assert "gptq" in found["gptqmodel"].methods
    assert found["auto-gptq"].needs_cuda == []


def test_a_library_that_the_environment_lacks_is_a_problem() -> None:
    found = statuses("/nowhere/python", has_gpu=False)
    problem = found["autoawq"].problem
    assert problem is not None
    assert "/nowhere/python cannot be started" in problem


def test_a_library_that_this_python_has_is_no_problem() -> None:
    found = statuses(sys.executable, has_gpu=False)
    for name, status in found.items():
        is_here = find_spec(QUANTIZERS[name].module) is not None
        assert (status.problem is None) == is_here, status.problem
