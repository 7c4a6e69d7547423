"""Plans as one HTML file: figures, and curves as drawings that need no script."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from llmops_cli.plan.report import PlanDetail
from llmops_cli.plan.show import said
from llmops_cli.show.page import html_row, html_table, plain_page

WIDTH = 560
HEIGHT = 260
LEFT = 70
BOTTOM = 36
TOP = 28


def plan_page(details: Sequence[PlanDetail]) -> str:
    """A section a plan."""
    parts = ["<h1>llmops plan</h1>"]
    for detail in details:
        parts.append(f"<h2>{escape(detail.title)}</h2>")
        parts.append(_figures(detail))
        parts.append(_plots(detail))
        items = "".join(f"<li>{escape(line)}</li>" for line in (*detail.advice, *detail.notes))
        parts.append(f"<ul>{items}</ul>")
    title = ", ".join(detail.title for detail in details)
    return plain_page(title=title, body="".join(parts))


def _figures(detail: PlanDetail) -> str:
    rows = []
    for name, figure in detail.plan.figures().items():
        band = f"{said(name, figure.low)} to {said(name, figure.high)}"
        cells = [name, said(name, figure.value), band, figure.formula, figure.source]
        rows.append(html_row([escape(each) for each in cells]))
    return html_table(["figure", "value", "band", "formula", "source"], rows)


def _plots(detail: PlanDetail) -> str:
    streams = [point.streams for point in detail.curve]
    drawn = [
        _plot("tokens/s by streams", streams, [each.throughput_tps for each in detail.curve]),
        _plot("ms to the first token by streams", streams, [p.ttft_ms for p in detail.curve]),
    ]
    costs = [point.usd_per_million for point in detail.curve]
    if None not in costs:
        latency = [point.tpot_ms for point in detail.curve]
        known = [cost for cost in costs if cost is not None]
        drawn.append(_plot("USD per million tokens by ms a token", latency, known))
    return "".join(drawn)


def _plot(title: str, xs: Sequence[float], ys: Sequence[float]) -> str:
    """A line on logarithmic axes, drawn as SVG; each point says what it is."""
    across = _Scale(xs, LEFT, WIDTH - 16)
    down = _Scale(ys, HEIGHT - BOTTOM, TOP)
    places = [(across.place(x), down.place(y)) for x, y in zip(xs, ys, strict=True)]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dots = []
    for (x, y), at, value in zip(places, xs, ys, strict=True):
        label = f"{at:,.3g}: {value:,.4g}"
        dots.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3"><title>{label}</title></circle>')
    words = [f'<text x="{LEFT}" y="16" font-weight="bold">{escape(title)}</text>']
    for value in across.ticks():
        x = across.place(value)
        words.append(
            f'<text x="{x:.1f}" y="{HEIGHT - 14}" text-anchor="middle">{value:,.3g}</text>'
        )
    for value in down.ticks():
        y = down.place(value)
        words.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value:,.3g}</text>')
        words.append(
            f'<line x1="{LEFT}" x2="{WIDTH - 16}" y1="{y:.1f}" y2="{y:.1f}" '
            'stroke="currentColor" stroke-opacity="0.15"/>'
        )
    return (
        f'<svg width="{WIDTH}" height="{HEIGHT}" role="img" font-size="12" fill="currentColor">'
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
        count = 5
        step = (self.high - self.low) / count
        return [math.exp(self.low + step * (index + 0.5)) for index in range(count)]
