"""A pipeline's comparison as a table."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from llmops_cli.bench.report import Level
from llmops_cli.bench.tables import p50_p95
from llmops_cli.pipeline.report import PipelineReport, Row
from llmops_cli.show.plain_exports import plain_pages
from llmops_cli.show.runs import Show
from llmops_cli.show.tables import megabytes, number

COLUMNS = (
    "model",
    "MB",
    "bits/weight",
    "perplexity",
    "KL nats",
    "task",
    "streams",
    "TTFT ms",
    "TPOT ms",
    "output tok/s",
    "peak MB",
)
DROPPABLE = ("bits/weight", "peak MB", "TPOT ms", "perplexity", "task")
"""What a narrow terminal can do without, the first first."""
CSV_COLUMNS = (
    "name",
    "size_bytes",
    "bits_per_weight",
    "perplexity",
    "kl_divergence",
    "task_accuracy",
    "concurrency",
    "ttft_ms_p50",
    "tpot_ms_p50",
    "output_tokens_per_s",
    "engine_peak_rss_bytes",
)
PLOT = "comparison.png"
"""The picture's name beside the report; its page holds a copy."""
NO_SPEEDS: list[float | None] = [None] * 4


def pipeline_table(report: PipelineReport) -> Table:
    """A line for each artifact and load."""
    table = Table(title="comparison; TTFT and TPOT: p50 / p95", title_justify="left")
    for name in COLUMNS:
        table.add_column(name, justify="right")
    for row in report.rows:
        _add(table, row)
    return table


def _add(table: Table, row: Row) -> None:
    """An artifact's facts stand beside its first load only."""
    facts = _facts(row)
    peak = megabytes(row.engine_peak_rss_bytes)
    if not row.levels:
        first = "-" if row.failure is None else "[bold red]failed[/]"
        table.add_row(*facts, first, "-", "-", "-", "-")
    for level in row.levels:
        is_last = level is row.levels[-1]
        table.add_row(*facts, *_speeds(level), peak, end_section=is_last)
        facts = [""] * len(facts)
        peak = ""


def _facts(row: Row) -> list[str]:
    accuracy = row.task_accuracy
    return [
        row.name,
        megabytes(row.size_bytes),
        number(row.bits_per_weight, 2),
        number(row.perplexity, 4),
        number(row.kl_divergence, 5),
        "-" if accuracy is None else f"{accuracy:.1%}",
    ]


def _speeds(level: Level) -> list[str]:
    mark = "" if level.valid else " [bold red]INVALID[/]"
    return [
        f"{level.concurrency}{mark}",
        p50_p95(level.ttft_ms),
        p50_p95(level.tpot_ms),
        number(level.output_tokens_per_s, 0),
    ]


def pipeline_csv(report: PipelineReport) -> str:
    """One line per artifact and load level."""
    lines = [",".join(CSV_COLUMNS)]
    for row in report.rows:
        facts = [row.name, row.size_bytes, row.bits_per_weight]
        quality = [row.perplexity, row.kl_divergence, row.task_accuracy]
        for speed in _csv_speeds(row):
            cells = [*facts, *quality, *speed, row.engine_peak_rss_bytes]
            lines.append(_csv_line(cells))
    return "\n".join(lines) + "\n"


def _csv_line(cells: Sequence[object]) -> str:
    texts = []
    for cell in cells:
        text = "" if cell is None else str(cell)
        texts.append(text)
    return ",".join(texts)


def _csv_speeds(row: Row) -> list[list[float | None]]:
    if not row.levels:
        return [NO_SPEEDS]
    return [_csv_speed(level) for level in row.levels]


def _csv_speed(level: Level) -> list[float | None]:
    return [
        level.concurrency,
        level.ttft_ms.p50,
        level.tpot_ms.p50,
        level.output_tokens_per_s,
    ]


def _shown(
    report: PipelineReport,
    word: str,
    width: int,
) -> Table:
    return pipeline_table(report)


SHOW = Show(
    table=_shown,
    droppable=DROPPABLE,
    page=plain_pages("llmops run", picture=PLOT),
)
