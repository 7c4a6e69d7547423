"""Plans as one HTML file: figures, and curves as drawings that need no script."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from llmops_cli.plan.report import PlanDetail
from llmops_cli.plan.show import plans_table, said
from llmops_cli.show.page import html_facts, html_item, html_row, html_table, plain_page
from llmops_cli.show.plain_exports import table_html
from llmops_cli.sizing.figures import BAND_RATE

WIDTH = 560
HEIGHT = 260
LEFT = 70
BOTTOM = 36
TOP = 28
WIDE = math.log(6)
WHOLE = 100
UNITS = {
    "weights_bytes": "of memory",
    "kv_bytes_per_token": "bytes",
    "kv_pool_bytes": "of memory",
    "max_concurrency": "requests at once",
    "decode_tps": "tokens/s of one stream",
    "prefill_tps": "prompt tokens/s",
    "ttft_ms": "ms",
    "tpot_ms": "ms",
    "throughput_tps": "output tokens/s of all streams",
    "cost_per_million_tokens": "dollars",
}
"""Of figures, by their names; sizes tell theirs themselves."""


def plan_page(details: Sequence[PlanDetail]) -> str:
    """A section a plan."""
    parts = ["<h1>llmops plan</h1>"]
    if len(details) > 1:
        parts.append(table_html(plans_table(details)))
    for detail in details:
        parts.append(f"<h2>{escape(detail.title)}</h2>")
        parts.append(_figures(detail))
        parts.append(_listed((*detail.advice, *detail.notes)))
        parts.append(f'<div class="two">{_plots(detail)}</div>')
        parts.append(_origins(detail))
    title = ", ".join(detail.title for detail in details)
    return plain_page(title=title, body="".join(parts))


def _figures(detail: PlanDetail) -> str:
    rows = []
    for name, figure in detail.plan.figures().items():
        band = f"{said(name, figure.low)} to {said(name, figure.high)}"
        if figure.value is None:
            band = figure.formula
        cells = [name, said(name, figure.value), band, UNITS.get(name, "")]
        rows.append(html_row([escape(each) for each in cells]))
    return html_table(["figure", "value", f"{BAND_RATE:.0%} band", "unit"], rows)


def _listed(lines: Sequence[str]) -> str:
    items = "".join(html_item(line) for line in lines)
    return f"<ul>{items}</ul>"


def _origins(detail: PlanDetail) -> str:
    """How each figure was made, and of what."""
    facts = {}
    for name, figure in detail.plan.figures().items():
        facts[name] = f"{figure.formula} ({figure.source})" if figure.source else figure.formula
    return f"<h3>How, and of what</h3>{html_facts(facts)}"


def _plots(detail: PlanDetail) -> str:
    streams = [point.streams for point in detail.curve]
    drawn = [
        _plot(
            "output tokens/s of all streams",
            "streams",
            streams,
            [point.throughput_tps for point in detail.curve],
        ),
        _plot(
            "TTFT, ms",
            "streams",
            streams,
            [point.ttft_ms for point in detail.curve],
        ),
        _plot(
            "TPOT, ms",
            "streams",
            streams,
            [point.tpot_ms for point in detail.curve],
        ),
    ]
    costs = [point.usd_per_million for point in detail.curve]
    if None not in costs:
        latency = [point.tpot_ms for point in detail.curve]
        known = [cost for cost in costs if cost is not None]
        drawn.append(_plot("USD per million tokens", "TPOT, ms", latency, known))
    return "".join(f"<div>{plot}</div>" for plot in drawn)


def _plot(
    title: str,
    across_title: str,
    xs: Sequence[float],
    ys: Sequence[float],
) -> str:
    """A line on logarithmic axes, drawn as SVG; each point says what it is."""
    across = _Scale(xs, LEFT, WIDTH - 16)
    down = _Scale(ys, HEIGHT - BOTTOM, TOP)
    places = [(across.place(x), down.place(y)) for x, y in zip(xs, ys, strict=True)]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dots = []
    for (x, y), at, value in zip(places, xs, ys, strict=True):
        label = f"{across_title} {short(at)}: {short(value)}"
        dots.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3"><title>{label}</title></circle>')
    words = [
        f'<text x="{LEFT}" y="16" font-weight="bold">{escape(title)}</text>',
        f'<text x="{WIDTH - 16}" y="{HEIGHT - 2}" text-anchor="end">{escape(across_title)}</text>',
    ]
    for value in across.ticks():
        x = across.place(value)
        words.append(
            f'<text x="{x:.1f}" y="{HEIGHT - 18}" text-anchor="middle">{short(value)}</text>'
        )
    for value in down.ticks():
        y = down.place(value)
        words.append(
            f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{short(value)}</text>'
        )
        words.append(
            f'<line x1="{LEFT}" x2="{WIDTH - 16}" y1="{y:.1f}" y2="{y:.1f}" '
            'stroke="currentColor" stroke-opacity="0.15"/>'
        )
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" role="img" font-size="12" '
        'fill="currentColor">'
        f'{"".join(words)}<polyline points="{line}" fill="none" stroke="currentColor" '
        f'stroke-width="2"/>{"".join(dots)}</svg>'
    )


class _Scale:
    """Values -> pixels, logarithmic, a little wider than the values."""

    def __init__(self, values: Sequence[float], begin: float, end: float) -> None:
        finite = [value for value in values if 0 < value < math.inf] or [1.0]
        self.low = math.log(min(finite)) - 0.05
        self.high = math.log(max(finite)) + 0.05
        self.begin = begin
        self.end = end

    def place(self, value: float) -> float:
        inside = min(max(value, math.exp(self.low)), math.exp(self.high))
        share = (math.log(inside) - self.low) / (self.high - self.low)
        return self.begin + share * (self.end - self.begin)

    def ticks(self) -> list[float]:
        """Round values inside: 1, 2 and 5 of each decade; all nine where there is little room."""
        low = math.exp(self.low)
        high = math.exp(self.high)
        first = math.floor(math.log10(low))
        last = math.ceil(math.log10(high))
        decades = [10.0**power for power in range(first, last + 1)]
        digits = (1, 2, 5) if self.high - self.low > WIDE else range(1, 10)
        found = [decade * digit for decade in decades for digit in digits]
        return [value for value in found if low <= value <= high]


def short(value: float) -> str:
    """Three digits at most after the first, never as a power of ten."""
    if value >= WHOLE:
        return f"{value:,.0f}"
    return f"{value:.3g}"
