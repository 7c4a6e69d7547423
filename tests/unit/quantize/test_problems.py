"""A gate is decided by kinds of problems; sentences are for people."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from llmops_cli.core.report import Manifest, decode_report
from llmops_cli.quantize.report import (
    ArtifactProblem,
    ProblemKind,
    QuantizedArtifact,
    QuantizeReport,
    problems_of,
)
from llmops_cli.quantize.show import quantize_table

GOLDEN = Path(__file__).parents[2] / "golden" / "reports"


def report(perplexity: float | None, *problems: ArtifactProblem) -> QuantizeReport:
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
        perplexity=perplexity,
        problems=list(problems),
    )
    return QuantizeReport(manifest=Manifest(recipe={}), artifacts=[artifact])


GREW = ArtifactProblem(kind=ProblemKind.PERPLEXITY_GREW, text="worse than it should be")
SILENT = ArtifactProblem(kind=ProblemKind.NOT_SERVED, text="perplexity is not what this is about")


def kinds(found: QuantizeReport, limit: float | None = 0.01) -> list[str]:
    return [str(problem.kind) for problem in problems_of(found, max_increase=limit)]


def test_the_kind_decides_and_not_the_sentence() -> None:
    assert kinds(report(2.0, GREW)) == ["perplexity-grew"]
    assert kinds(report(2.0, SILENT)) == ["not-served"]


def test_without_a_limit_nothing_breaks_it() -> None:
    assert kinds(report(2.0, GREW), limit=None) == []
    assert kinds(report(2.0, SILENT), limit=None) == ["not-served"]


def test_a_text_that_the_base_knows_nothing_of_tells_no_perplexity() -> None:
    (plain,) = report(2.0, GREW).artifacts
    known = msgspec.structs.replace(plain, perplexity_base=500.0, vocabulary=512)
    foreign = msgspec.structs.replace(plain, perplexity_base=513.0, vocabulary=512)
    assert not known.text_is_foreign
    assert foreign.text_is_foreign
    found = msgspec.structs.replace(report(2.0), artifacts=[foreign])
    assert kinds(found) == ["not-measured"]
    assert kinds(found, limit=None) == []
    table = quantize_table(msgspec.structs.replace(found, manifest=Manifest(recipe={"model": "m"})))
    assert "the base knows nothing of this text (perplexity 513 of 512 tokens)" in str(
        table.caption
    )
    row = [next(iter(column.cells)) for column in table.columns]
    assert row[4:7] == ["-", "-", "-"]


def test_what_was_not_measured_does_not_keep_the_limit() -> None:
    assert kinds(report(None, SILENT)) == ["not-served"]
    assert kinds(report(None)) == ["not-measured"]


def test_an_old_reports_sentences_stay_and_decide_nothing() -> None:
    raw = json.loads((GOLDEN / "llmops.quantize-1.json").read_text())
    raw["artifacts"][0]["problems"] = ["perplexity grew by 4.10%, more than 3.00%"]
    found = decode_report(json.dumps(raw).encode())
    assert isinstance(found, QuantizeReport)
    (problem,) = found.artifacts[0].problems
    assert problem.kind is ProblemKind.UNKNOWN
    assert problem.text == "perplexity grew by 4.10%, more than 3.00%"
    assert kinds(found) == []


def test_a_problem_survives_saving() -> None:
    saved = msgspec.json.encode(report(2.0, GREW))
    assert decode_report(saved) == report(2.0, GREW)
