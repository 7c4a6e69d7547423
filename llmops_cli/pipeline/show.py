"""A pipeline's comparison as a table."""

from __future__ import annotations

from rich.table import Table

from llmops_cli.bench.tables import p50_p99
from llmops_cli.pipeline.report import PipelineReport
from llmops_cli.show.runs import Show
from llmops_cli.show.tables import megabytes, number


def pipeline_table(report: PipelineReport) -> Table:
    table = Table(title="comparison", title_justify="left")
    for name in (
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
    ):
        table.add_column(name, justify="right")
    for row in report.rows:
        head = [
            row.name,
            megabytes(row.size_bytes),
            number(row.bits_per_weight, 2),
            number(row.perplexity, 4),
            number(row.kl_divergence, 5),
            "-" if row.task_accuracy is None else f"{row.task_accuracy:.1%}",
        ]
        for i, level in enumerate(row.levels):
            streams = str(level.concurrency) + ("" if level.valid else " [bold red]INVALID[/]")
            table.add_row(
                *(head if i == 0 else [""] * len(head)),
                streams,
                p50_p99(level.ttft_ms),
                p50_p99(level.tpot_ms),
                number(level.output_tokens_per_s, 0),
                megabytes(row.engine_peak_rss_bytes) if i == 0 else "",
                end_section=i == len(row.levels) - 1,
            )
        if not row.levels:
            table.add_row(*head, "-", "-", "-", "-", "-")
    return table


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


def pipeline_csv(report: PipelineReport) -> str:
    """One line per artifact and load level."""
    lines = [",".join(CSV_COLUMNS)]
    for row in report.rows:
        fixed = [
            row.name,
            row.size_bytes,
            row.bits_per_weight,
            row.perplexity,
            row.kl_divergence,
            row.task_accuracy,
        ]
        speeds = [
            [x.concurrency, x.ttft_ms.p50, x.tpot_ms.p50, x.output_tokens_per_s] for x in row.levels
        ]
        for speed in speeds or [[None] * 4]:
            cells = [*fixed, *speed, row.engine_peak_rss_bytes]
            lines.append(",".join("" if cell is None else str(cell) for cell in cells))
    return "\n".join(lines) + "\n"


SHOW = Show(table=lambda report, word, width: pipeline_table(report))
