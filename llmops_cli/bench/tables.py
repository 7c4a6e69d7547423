"""Load tests and their comparisons as rich tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich import box
from rich.markup import escape
from rich.table import Table

from llmops_cli.bench.report import BenchReport, Comparison, Difference, Level, SloResult
from llmops_cli.bench.saved import load_name
from llmops_cli.bench.words import (
    NOT_OF_VECTORS,
    change_words,
    disagreement_words,
    grouped_notes,
    is_of_vectors,
    missing_words,
    values_words,
)
from llmops_cli.core.report import Memory, StartUp
from llmops_cli.core.stats import Distribution
from llmops_cli.show.tables import milliseconds, number

WIDE = 165
MIDDLE = 110
"""Columns of a terminal from which on a table has its intervals and windows, and its p99."""
COLORS = {
    "faster": "green",
    "fewer errors": "green",
    "slower": "bold red",
    "more errors": "bold red",
}
WARM_SHARE = 0.95
COLD_SHARE = 0.05
"""Of the weights in main memory: from the one on a start did not wait for the disk, up to the other
it waited for all of them."""
COMPARED = (
    "load",
    "metric",
    "baseline",
    "current",
    "change",
    "95 % interval",
    "p",
    "P(faster)",
    "verdict",
)
LEVELS_DROPPABLE = ("ITL", "measured", "input tok/s", "requests", "E2E", "req/s")
LEVELS_REPLACED = {"goodput/s": ("tok/s",)}
COMPARISON_DROPPABLE = ("P(faster)", "p", "baseline", "current", "95 % interval")
"""Columns that a narrow terminal can do without, the first first."""
LEGEND = (
    "p is adjusted for the number of rows; "
    "P(faster): the chance that a request is faster than in the baseline"
)


def p50_p95(distribution: Distribution) -> str:
    return f"{milliseconds(distribution.p50)} / {milliseconds(distribution.p95)}"


def bench_table(
    report: BenchReport,
    *,
    word: str = "",
    width: int = 180,
) -> Table:
    """One row a level; a narrow table has fewer statistics.

    `word` says what is special about the run, such as `partial`.
    """
    shape = box.HEAVY_HEAD
    padding = (0, 1)
    if width < WIDE:
        shape = box.SIMPLE_HEAD
        padding = (0, 0)
    table = Table(
        title=_title(report, word, width),
        title_justify="left",
        box=shape,
        padding=padding,
    )
    table.add_column("load", no_wrap=True)
    columns = _columns(report, width)
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    for level in report.levels:
        cells = _cells(level, width)
        load = load_name(level)
        shown = [cells[name] for name in columns]
        table.add_row(load, *shown)
    if not report.levels:
        table.caption = "no request had ended"
        return table
    table.caption = "\n".join(_captions(report, width))
    table.caption_justify = "left"
    table.caption_style = ""
    return table


def _title(
    report: BenchReport,
    word: str,
    width: int,
) -> str:
    recipe = report.manifest.recipe
    place = recipe.get("url") or recipe["backend"]
    title = f"{place} {recipe['model']}: {_shown_statistics(width)} in ms"
    if word:
        return f"{title}  [bold red]{word}[/]"
    return title


def _shown_statistics(width: int) -> str:
    if width < MIDDLE:
        return "p50, p95"
    if width < WIDE:
        return "p50, p95, p99"
    return "p50 ± its 95 % interval, p95, p99"


def _columns(report: BenchReport, width: int) -> list[str]:
    names = ["requests", "errors", "TTFT", "TPOT", "E2E"]
    if is_of_vectors(report):
        names = ["requests", "errors", "E2E"]
    elif width >= WIDE:
        names = ["requests", "errors", "TTFT", "TPOT", "ITL", "E2E"]
    names.append("req/s")
    if is_of_vectors(report):
        names.append("texts/s")
        names.append("input tok/s")
    else:
        names.append("tok/s")
    has_goodput = any(level.goodput_per_s is not None for level in report.levels)
    if has_goodput:
        names.append("goodput/s")
    if any(level.usd_per_1k_requests is not None for level in report.levels):
        names.append("$/1k req" if is_of_vectors(report) else "$/1M tok")
    if width >= WIDE:
        names.append("measured")
    names.append("valid")
    return names


def _speed(value: float | None, decimals: int) -> str:
    """A slow one has its figures too: 0.5 is not 0."""
    is_slow = value is not None and value < 10
    return number(value, max(decimals, 1) if is_slow else decimals)


def _cells(level: Level, width: int) -> dict[str, str]:
    errors = "0"
    if level.errors:
        errors = f"[red]{level.errors}[/]"
    decimals = 1 if width >= WIDE else 0
    valid = "yes" if level.valid else "[bold red]INVALID[/]"
    return {
        "requests": str(level.requests),
        "errors": errors,
        "TTFT": _spread(level.ttft_ms, width),
        "TPOT": _spread(level.tpot_ms, width),
        "ITL": _spread(level.itl_ms, MIDDLE),
        "E2E": _spread(level.e2e_ms, width),
        "req/s": number(level.requests_per_s, 2),
        "tok/s": _speed(level.output_tokens_per_s, decimals),
        "texts/s": number(level.texts_per_s, 1),
        "input tok/s": _speed(level.total_tokens_per_s, decimals),
        "goodput/s": number(level.goodput_per_s, 2),
        "$/1M tok": number(level.usd_per_million_tokens, 2),
        "$/1k req": number(level.usd_per_1k_requests, 4),
        "measured": _windows(level),
        "valid": valid,
    }


def _spread(distribution: Distribution, width: int) -> str:
    p50 = milliseconds(distribution.p50)
    p95 = milliseconds(distribution.p95)
    p99 = milliseconds(distribution.p99)
    if width < MIDDLE:
        return f"{p50}  {p95}"
    middle = distribution.p50
    interval = distribution.ci95.get("p50")
    if width < WIDE or interval is None or middle is None:
        return f"{p50}  {p95}  {p99}"
    low, high = interval
    farther = max(high - middle, middle - low)
    half = milliseconds(farther)
    return f"{p50} ±{half}  {p95}  {p99}"


def _windows(level: Level) -> str:
    """Which seconds count, and whether they are a steady state."""
    if not level.windows:
        return "-"
    first = level.windows[0]
    text = f"{first.start_s:.1f}-{first.end_s:.1f} s"
    if len(level.windows) > 1:
        text += f" x{len(level.windows)}"
    if first.found != "steady":
        text += " (all)"
    return text


def _captions(report: BenchReport, width: int) -> Iterator[str]:
    if report.finding.text:
        yield report.finding.text
    if width < WIDE:
        yield _duration_words(report.levels)
    for level in report.levels:
        for reason in level.invalid_reasons:
            yield f"[bold red]INVALID[/] {level.label}: {escape(reason)}"
        for slo in level.slos:
            yield _slo_words(level, slo)
    if is_of_vectors(report):
        yield NOT_OF_VECTORS
    yield from missing_words(report.levels)
    for line in grouped_notes(report.levels):
        yield escape(line)
    if report.memory.engine_peak_rss_bytes is not None:
        yield _memory_words(report.memory)
    if report.startup is not None:
        yield startup_words(report.startup)


def _duration_words(levels: Sequence[Level]) -> str:
    """How long each level was measured, over all its repetitions."""
    parts = [f"{level.duration_s:.1f} s at {level.label}" for level in levels]
    return f"measured for {', '.join(parts)}"


def _slo_words(level: Level, slo: SloResult) -> str:
    low, high = slo.share_ci95
    outcome = "met" if slo.met else "missed"
    return (
        f"{level.label}: {slo.text} {outcome}: {slo.share:.1%} ({low:.1%} to {high:.1%}) "
        f"of the requests, {slo.needed * 100:.4g}% needed"
    )


def _memory_words(memory: Memory) -> str:
    text = f"engine peak memory {(memory.engine_peak_rss_bytes or 0) / 1e6:,.0f} MB"
    if memory.engine_peak_gpu_bytes:
        text += f", GPU {memory.engine_peak_gpu_bytes / 1e6:,.0f} MB"
    return text


def startup_words(startup: StartUp) -> str:
    """`start-up 8.12 s: process 5.00, load 2.10, first token 1.02; warm: ...`."""
    parts = []
    total_s = 0.0
    named = {
        "process": startup.process_s,
        "load": startup.load_s,
        "first token": startup.first_token_s,
    }
    for name, part_s in named.items():
        if part_s is not None:
            total_s += part_s
            parts.append(f"{name} {part_s:.2f}")
    text = f"start-up {total_s:.2f} s: {', '.join(parts)}"
    if startup.cached_share is None:
        return text
    kind = _warmth(startup.cached_share)
    return f"{text}; {kind}: {startup.cached_share:.0%} of its weights lay in main memory"


def _warmth(cached_share: float) -> str:
    if cached_share >= WARM_SHARE:
        return "warm"
    if cached_share <= COLD_SHARE:
        return "cold"
    return "half warm"


def comparison_table(found: Comparison) -> Table:
    """Baseline beside current, and whether the change is real."""
    table = Table(title=f"{found.current} against {found.baseline}", title_justify="left")
    for name in COMPARED:
        is_text = name in ("load", "metric", "verdict")
        table.add_column(
            name,
            justify="left" if is_text else "right",
            no_wrap=True,
        )
    last = None
    for difference in found.differences:
        load = difference.load if difference.load != last else ""
        table.add_row(load, *_difference_cells(difference))
        last = difference.load
    note = disagreement_words(found)
    table.caption = f"{LEGEND}\n{note}" if note else LEGEND
    table.caption_justify = "left"
    table.caption_style = "dim"
    return table


def _difference_cells(difference: Difference) -> list[str]:
    change, interval = change_words(difference)
    color = COLORS.get(difference.verdict)
    verdict = f"[{color}]{difference.verdict}[/]" if color else difference.verdict
    return [
        difference.metric,
        *values_words(difference),
        change,
        interval,
        f"{difference.p:.3f}" if difference.p >= 0.001 else "<0.001",
        number(difference.superiority, 2),
        verdict,
    ]
