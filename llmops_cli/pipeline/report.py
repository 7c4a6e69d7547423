"""What a recipe of steps reports: cost, quality and speed of each artifact."""

from __future__ import annotations

import msgspec

from llmops_cli.bench.report import Flaw, Level, level_1_to_2
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


KIND = ReportKind(
    schema="llmops.run/2",
    report=PipelineReport,
    upgrades={"llmops.run/1": _run_1_to_2},
)
