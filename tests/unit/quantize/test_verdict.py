"""Which exit a finished quantization has: 0, 5 for a limit, 4 for what is broken."""

from __future__ import annotations

import msgspec
import pytest

from llmops_cli.core.errors import EngineFailed, GateFailed
from llmops_cli.core.report import Manifest
from llmops_cli.models.truth import FaultKind, failed
from llmops_cli.quantize.provenance import Provenance
from llmops_cli.quantize.report import (
    ArtifactProblem,
    ProblemKind,
    QuantizedArtifact,
    QuantizeReport,
)
from llmops_cli.quantize.verdict import failure_of


def report(*kinds: ProblemKind) -> QuantizeReport:
    artifact = QuantizedArtifact(
        path="p",
        method="gguf",
        engine="llama.cpp",
        scheme="Q2_K",
        format="gguf",
        name="gguf-Q2_K",
        size_bytes=1,
        size_base_bytes=2,
        bits_per_weight=3.0,
        perplexity=2.0,
        problems=[ArtifactProblem(kind=kind, text=f"it is {kind}") for kind in kinds],
    )
    return QuantizeReport(manifest=Manifest(recipe={}), artifacts=[artifact])


def test_nothing_wrong_is_no_failure() -> None:
    assert failure_of(report(), max_increase=0.1) is None
    assert failure_of(report(ProblemKind.PERPLEXITY_GREW), max_increase=None) is None


@pytest.mark.parametrize(
    "kind",
    [
        ProblemKind.LOGITS_DIFFER,
        ProblemKind.TOKENS_DIFFER,
        ProblemKind.NOT_LOADED,
        ProblemKind.NOT_SERVED,
        ProblemKind.NOTHING_QUANTIZED,
        ProblemKind.INCOMPLETE_ORIGINAL,
    ],
)
def test_what_is_broken_fails_without_a_limit(kind: ProblemKind) -> None:
    failure = failure_of(report(ProblemKind.LOST_TOO_MUCH, kind), max_increase=None)
    assert isinstance(failure, EngineFailed)
    assert f"gguf-Q2_K: it is {kind}" in failure.message


def test_what_a_sweep_could_not_make_fails_it_with_all_that_was_made() -> None:
    """A script that goes on behind `quantize --scheme Q4_K_M,Q8_0` takes both to be there."""
    killed = msgspec.structs.replace(report(), failures={"gguf-Q8_0": "its job was killed"})
    failure = failure_of(killed, max_increase=None)
    assert isinstance(failure, EngineFailed)
    assert failure.message == "gguf-Q8_0 was not made: its job was killed"


def test_a_loss_is_a_broken_limit() -> None:
    assert isinstance(failure_of(report(ProblemKind.LOST_TOO_MUCH), max_increase=None), GateFailed)
    assert isinstance(failure_of(report(ProblemKind.PERPLEXITY_GREW), max_increase=0.1), GateFailed)


@pytest.mark.parametrize("kind", list(FaultKind))
def test_every_fault_of_a_check_is_a_problem_of_the_artifact(kind: FaultKind) -> None:
    made = Provenance(key="k", digest="d", size_bytes=1, check=failed(kind, "far"))
    (problem,) = made.all_problems
    assert (str(problem.kind), problem.text) == (str(kind), "far")
