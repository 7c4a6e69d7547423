"""Reports as rich tables."""

from __future__ import annotations

from rich.table import Table

from llmops_cli.core.report import BenchReport, PipelineReport, QuantizeReport
from llmops_cli.core.stats import Distribution


def _ms(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.2f}" if value < 10 else f"{value:,.1f}" if value < 1000 else f"{value:,.0f}"


def megabytes(value: int | None) -> str:
    return "-" if value is None else f"{value / 1e6:,.1f}"


def _number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def _pair(distribution: Distribution) -> str:
    return f"{_ms(distribution.p50)} / {_ms(distribution.p99)}"


def bench_table(report: BenchReport) -> Table:
    recipe = report.manifest.recipe
    table = Table(title=f"{recipe['backend']} {recipe['model']}: p50 / p99 in ms", title_justify="left")
    for name in (
        "streams",
        "requests",
        "errors",
        "TTFT",
        "TPOT",
        "ITL",
        "E2E",
        "req/s",
        "output tok/s",
        "total tok/s",
        "valid",
    ):
        table.add_column(name, justify="right")
    for level in report.levels:
        table.add_row(
            str(level.concurrency), str(level.requests), str(level.errors), _pair(level.ttft_ms), _pair(level.tpot_ms),
            _pair(level.itl_ms), _pair(level.e2e_ms), _number(level.requests_per_s, 2),
            _number(level.output_tokens_per_s, 1), _number(level.total_tokens_per_s, 1),
            "yes" if level.valid else "[red]no[/red]",
        )  # fmt: skip
    rss = report.memory.engine_peak_rss_bytes
    gpu = report.memory.engine_peak_gpu_bytes
    caption = (
        []
        if rss is None
        else [f"engine peak memory {rss / 1e6:,.0f} MB" + (f", GPU {gpu / 1e6:,.0f} MB" if gpu else "")]
    )
    caption += [
        f"{level.concurrency} streams invalid: {reason}" for level in report.levels for reason in level.invalid_reasons
    ]
    table.caption, table.caption_justify = "\n".join(caption), "left"
    return table


def quantize_table(report: QuantizeReport) -> Table:
    table = Table(
        title=f"{report.manifest.recipe['model']}, method {report.manifest.recipe['method']}",
        title_justify="left",
    )
    for name in (
        "scheme",
        "MB",
        "of base",
        "bits/weight",
        "perplexity",
        "vs base",
        "KL nats",
        "same top-1",
        "CPU s",
        "peak MB",
        "imatrix",
    ):
        table.add_column(name, justify="right")
    for a in report.artifacts:
        change = a.perplexity / a.perplexity_base - 1 if a.perplexity and a.perplexity_base else None
        table.add_row(
            a.scheme, megabytes(a.size_bytes), f"{a.size_bytes / a.size_base_bytes:.0%}", _number(a.bits_per_weight, 2),
            _number(a.perplexity, 4), "-" if change is None else f"{change:+.2%}", _number(a.kl_divergence, 5),
            "-" if a.top1_agreement is None else f"{a.top1_agreement:.1%}", "kept" if a.reused else _number(a.cpu_s, 1),
            megabytes(a.peak_rss_bytes), "yes" if a.imatrix != "none" else "no",
        )  # fmt: skip
    table.caption, table.caption_justify = "\n".join(a.path for a in report.artifacts), "left"
    return table


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
            row.name, megabytes(row.size_bytes), _number(row.bits_per_weight, 2), _number(row.perplexity, 4),
            _number(row.kl_divergence, 5), "-" if row.task_accuracy is None else f"{row.task_accuracy:.1%}",
        ]  # fmt: skip
        for i, level in enumerate(row.levels):
            table.add_row(
                *(head if i == 0 else [""] * len(head)), str(level.concurrency), _pair(level.ttft_ms),
                _pair(level.tpot_ms), _number(level.output_tokens_per_s, 0),
                megabytes(row.engine_peak_rss_bytes) if i == 0 else "", end_section=i == len(row.levels) - 1,
            )  # fmt: skip
        if not row.levels:
            table.add_row(*head, "-", "-", "-", "-", "-")
    return table
