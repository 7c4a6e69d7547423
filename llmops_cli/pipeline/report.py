"""What a recipe of steps reports: cost, quality and speed of each artifact."""

from __future__ import annotations

import msgspec

from llmops_cli.bench.report import Flaw, Level, level_1_to_2
from llmops_cli.core.errors import EngineFailed
from llmops_cli.core.problem import Problem
from llmops_cli.core.report import Json, Manifest, ReportKind


class Row(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One artifact in a pipeline's comparison: cost, quality and speed beside one another."""

    name: str
    size_bytes: int
    bits_per_weight: float | None = None
    perplexity: float | None = None
    kl_divergence: float | None = None
    task_accuracy: float | None = None
    skills: dict[str, float] = {}
    levels: list[Level] = []
    engine_peak_rss_bytes: int | None = None
    engine_peak_gpu_bytes: int | None = None
    failure: str | None = None
    """Why its engine measured nothing, or why it was not made."""


class PipelineReport(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    schema: str = "llmops.run/2"
    manifest: Manifest
    rows: list[Row]
    steps: list[dict[str, object]] = []


def _run_1_to_2(old: Json) -> Json:
    rows = [_row_1_to_2(row) for row in old["rows"]]
    return old | {"schema": "llmops.run/2", "rows": rows}


def _row_1_to_2(row: Json) -> Json:
    levels = [level_1_to_2(level) for level in row.get("levels", [])]
    return row | {"levels": levels}


def problems_of(report: PipelineReport) -> list[Problem]:
    """Why its speeds must not be trusted; empty if they may."""
    problems = []
    for row in report.rows:
        for level in row.levels:
            for reason in level.invalid_reasons:
                text = f"{row.name} at {level.label}: {reason}"
                problems.append(Problem(Flaw.INVALID, text))
    return problems


def require_all(report: PipelineReport) -> None:
    """Raises: EngineFailed that says which engines or artifacts of a comparison are not in it."""
    failures = [f"{row.name}: {row.failure}" for row in report.rows if row.failure is not None]
    if failures:
        count = f"{len(failures)} of {len(report.rows)} failed"
        hint = "run it again when that is mended: what was measured is kept"
        raise EngineFailed(f"{count}; {failures[0]}", hint=hint)


KIND = ReportKind(
    schema="llmops.run/2",
    report=PipelineReport,
    upgrades={"llmops.run/1": _run_1_to_2},
)
