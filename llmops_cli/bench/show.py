"""Reports as rich tables."""

from __future__ import annotations

from rich import box
from rich.markup import escape
from rich.table import Table

from llmops_cli.bench.export import change_words, values_words
from llmops_cli.bench.report import BenchReport, Comparison, Level
from llmops_cli.core.stats import Distribution
from llmops_cli.show.runs import Show
from llmops_cli.show.tables import milliseconds, number


def p50_p99(distribution: Distribution) -> str:
    return f"{milliseconds(distribution.p50)} / {milliseconds(distribution.p99)}"


WIDE = 165
MIDDLE = 110
"""Columns of a terminal from which on a table has its intervals and windows, and its p99."""


def _spread(distribution: Distribution, width: int) -> str:
    p50 = milliseconds(distribution.p50)
    p95 = milliseconds(distribution.p95)
    p99 = milliseconds(distribution.p99)
    if width < MIDDLE:
        return f"{p50}  {p95}"
    low, high = distribution.ci95.get("p50", (None, None))
    if width < WIDE or low is None or high is None or distribution.p50 is None:
        return f"{p50}  {p95}  {p99}"
    return (
        f"{p50} ±{milliseconds(max(high - distribution.p50, distribution.p50 - low))}  {p95}  {p99}"
    )


def bench_table(report: BenchReport, *, word: str = "", width: int = 180) -> Table:
    """`word` says what is special about the run, such as `partial`; a narrow table has fewer
    statistics.
    """
    recipe = report.manifest.recipe
    where = f"{recipe['url']} " if recipe.get("url") else f"{recipe['backend']} "
    shown = (
        "p50, p95"
        if width < MIDDLE
        else "p50, p95, p99"
        if width < WIDE
        else "p50 ± its 95 % interval, p95, p99"
    )
    title = f"{where}{recipe['model']}: {shown} in ms"
    table = Table(
        title=f"{title}  [bold red]{word}[/]" if word else title,
        title_justify="left",
        box=box.SIMPLE_HEAD if width < WIDE else box.HEAVY_HEAD,
        padding=(0, 0) if width < WIDE else (0, 1),
    )
    goodput = any(level.goodput_per_s is not None for level in report.levels)
    columns = [
        "requests",
        "errors",
        "TTFT",
        "TPOT",
        "E2E",
        *(["req/s"] if width >= MIDDLE else []),
        "tok/s",
        *(["goodput/s"] if goodput else []),
        *(["measured"] if width >= WIDE else []),
        "valid",
    ]
    table.add_column("load", no_wrap=True)
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    for level in report.levels:
        cells = {
            "requests": str(level.requests),
            "errors": f"[red]{level.errors}[/]" if level.errors else "0",
            "TTFT": _spread(level.ttft_ms, width),
            "TPOT": _spread(level.tpot_ms, width),
            "E2E": _spread(level.e2e_ms, width),
            "req/s": number(level.requests_per_s, 2),
            "tok/s": number(level.output_tokens_per_s, 1 if width >= WIDE else 0),
            "goodput/s": number(level.goodput_per_s, 2),
            "measured": _windows(level),
            "valid": "yes" if level.valid else "[bold red]INVALID[/]",
        }
        table.add_row(
            level.label or f"{level.concurrency} streams", *(cells[name] for name in columns)
        )
    if not report.levels:
        table.caption = "no request had ended"
        return table
    table.caption = "\n".join(_captions(report))
    table.caption_justify = "left"
    table.caption_style = ""
    return table


def _windows(level: Level) -> str:
    """Which seconds count, and whether they are a steady state."""
    if not level.windows:
        return "-"
    first = level.windows[0]
    more = f" x{len(level.windows)}" if len(level.windows) > 1 else ""
    return f"{first.start_s:.1f}-{first.end_s:.1f} s{more}{'' if first.found == 'steady' else ' (all)'}"


def _captions(report: BenchReport) -> list[str]:
    lines = [report.finding.text] if report.finding.text else []
    for level in report.levels:
        lines += [
            f"[bold red]INVALID[/] {level.label}: {escape(reason)}"
            for reason in level.invalid_reasons
        ]
        for slo in level.slos:
            low, high = slo.share_ci95
            lines.append(
                f"{level.label}: {slo.text} {'met' if slo.met else 'missed'}: "
                f"{slo.share:.1%} ({low:.1%} to {high:.1%}) of the requests, {slo.needed * 100:.4g}% needed"
            )
    notes: dict[str, list[str]] = {}
    for level in report.levels:
        for note in level.notes:
            notes.setdefault(note, []).append(level.label)
    for note, labels in notes.items():
        lines.append(
            escape(note)
            if len(labels) == len(report.levels)
            else f"{', '.join(labels)}: {escape(note)}"
        )
    rss = report.memory.engine_peak_rss_bytes
    gpu = report.memory.engine_peak_gpu_bytes
    if rss is not None:
        lines.append(
            f"engine peak memory {rss / 1e6:,.0f} MB"
            + (f", GPU {gpu / 1e6:,.0f} MB" if gpu else "")
        )
    return lines


COLORS = {
    "faster": "green",
    "fewer errors": "green",
    "slower": "bold red",
    "more errors": "bold red",
}


def comparison_table(found: Comparison) -> Table:
    """Baseline beside current, and whether the change is real."""
    table = Table(title=f"{found.current} against {found.baseline}", title_justify="left")
    for name in (
        "load",
        "metric",
        "baseline",
        "current",
        "change",
        "95 % interval",
        "p",
        "P(faster)",
        "verdict",
    ):
        table.add_column(
            name,
            justify="left" if name in ("load", "metric", "verdict") else "right",
            no_wrap=name != "95 % interval",
        )
    last = None
    for d in found.differences:
        change, interval = change_words(d)
        color = COLORS.get(d.verdict)
        verdict = f"[{color}]{d.verdict}[/]" if color else d.verdict
        table.add_row(
            d.load if d.load != last else "",
            d.metric,
            *values_words(d),
            change,
            interval,
            f"{d.p:.3f}" if d.p >= 0.001 else "<0.001",
            number(d.superiority, 2),
            verdict,
        )
        last = d.load
    table.caption = "p is adjusted for the number of rows; P(faster): the chance that a request is faster than in the baseline"
    table.caption_justify = "left"
    table.caption_style = "dim"
    return table


def _table(report: BenchReport, word: str, width: int) -> Table:
    return bench_table(report, word=word, width=width)


def _listed(report: BenchReport) -> dict[str, object]:
    recipe = report.manifest.recipe
    ttfts = [level.ttft_ms.p50 for level in report.levels if level.ttft_ms.p50]
    return {
        "backend": recipe.get("url") or recipe.get("backend"),
        "valid": all(level.valid for level in report.levels),
        "best_output_tokens_per_s": max(
            (level.output_tokens_per_s for level in report.levels), default=None
        ),
        "lowest_ttft_ms_p50": min(ttfts, default=None),
    }


SHOW = Show(table=_table, listed=_listed)
