"""What `llmops report` can do with load tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from llmops_cli.bench.compare import MIN_EFFECT, compare
from llmops_cli.bench.files import reread
from llmops_cli.bench.gate import judge_conditions, metric_names, parse_gate
from llmops_cli.bench.junit import junit
from llmops_cli.bench.markdown import comparison_markdown, markdown
from llmops_cli.bench.openmetrics import openmetrics
from llmops_cli.bench.page import MOST_REQUESTS, page
from llmops_cli.bench.report import BenchReport
from llmops_cli.bench.requests import save_csv, save_parquet
from llmops_cli.bench.saved import SavedRun, load_run
from llmops_cli.bench.tables import (
    COMPARISON_DROPPABLE,
    LEVELS_DROPPABLE,
    LEVELS_REPLACED,
    bench_table,
    comparison_table,
)
from llmops_cli.bench.trust import changed, unlike, untrusted
from llmops_cli.core.errors import UsageError, unknown_name
from llmops_cli.show.gates import JudgedCondition
from llmops_cli.show.runs import Compared, Export, OpenedRun, Show
from llmops_cli.show.tables import milliseconds


def _table(
    report: BenchReport,
    word: str,
    width: int,
) -> Table:
    return bench_table(report, word=word, width=width)


def _listed(report: BenchReport) -> dict[str, object]:
    recipe = report.manifest.recipe
    ttfts = []
    speeds = []
    are_valid = True
    for level in report.levels:
        if level.ttft_ms.p50:
            ttfts.append(level.ttft_ms.p50)
        speeds.append(level.output_tokens_per_s)
        are_valid &= level.valid
    return {
        "backend": recipe.get("url") or recipe.get("backend"),
        "valid": are_valid,
        "best_output_tokens_per_s": max(speeds, default=None),
        "lowest_ttft_ms_p50": min(ttfts, default=None),
    }


def _figures(report: BenchReport) -> str:
    ttfts = [level.ttft_ms.p50 for level in report.levels if level.ttft_ms.p50]
    return f"TTFT p50 from {milliseconds(min(ttfts))} ms" if ttfts else ""


def _with_requests(run: OpenedRun, *, most: int | None = None) -> SavedRun:
    return load_run(run.path, run.report, name=run.name, most=most)


def _compare(
    baseline: OpenedRun,
    other: OpenedRun,
    metrics: Sequence[str],
    min_effect: float | None,
) -> Compared:
    known = metric_names()
    for name in metrics:
        if name not in known:
            raise unknown_name("metric", name, known)
    found = compare(
        _with_requests(baseline),
        _with_requests(other),
        metrics=metrics or None,
        min_effect=MIN_EFFECT if min_effect is None else min_effect,
    )
    if not found.differences:
        raise UsageError(
            f"{found.baseline} and {found.current} have nothing to compare",
            hint="; ".join(found.warnings) or "measure the same loads in both",
        )
    return Compared(
        result=found,
        table=comparison_table(found),
        markdown=comparison_markdown(found),
        droppable=COMPARISON_DROPPABLE,
        warnings=found.warnings,
    )


def _gate(
    run: OpenedRun,
    baseline: OpenedRun | None,
    conditions: Sequence[str],
    *,
    allow_invalid: bool,
) -> list[JudgedCondition]:
    parsed = [parse_gate(text) for text in conditions]
    current = _with_requests(run)
    against = None if baseline is None else _with_requests(baseline)
    judged: list[JudgedCondition] = []
    if not allow_invalid:
        judged += untrusted(current)
        if against is not None:
            judged += untrusted(against)
            judged += unlike(current, against)
    if against is not None:
        judged += changed(current, against)
    return judged + judge_conditions(current, against, parsed)


def _page(runs: Sequence[OpenedRun]) -> str:
    saved = [_with_requests(run, most=MOST_REQUESTS) for run in runs]
    return page(saved)


def _save_parquet(run: OpenedRun, target: Path) -> None:
    save_parquet(run.path, target)


def _save_csv(run: OpenedRun, target: Path) -> None:
    save_csv(run.path, target)


SHOW = Show(
    table=_table,
    droppable=LEVELS_DROPPABLE,
    replaced=LEVELS_REPLACED,
    listed=_listed,
    figures=_figures,
    reread=reread,
    compare=_compare,
    gate=_gate,
    page=_page,
    exports={
        "markdown": Export(text=lambda run: markdown(run.report)),
        "junit": Export(text=lambda run: junit(run.report)),
        "openmetrics": Export(text=lambda run: openmetrics(run.report)),
        "csv": Export(save=_save_csv),
        "parquet": Export(save=_save_parquet),
    },
)
