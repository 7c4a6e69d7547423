"""Pass rates with their intervals as one picture, drawn without a script."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from llmops_cli.core.visible import visible
from llmops_cli.prompt.evals.report import EvalCell

__all__ = ["interval_plot"]

NAMES_PX = 240
SCALE_PX = 640
ROW_PX = 26
TOP_PX = 26
TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)
LONGEST_NAME = 34
MOST_CELLS = 40
COLOUR = "var(--lead)"


def interval_plot(cells: Sequence[EvalCell]) -> str:
    """An SVG of the first cells; empty where none has a verdict."""
    shown = [each for each in cells if each.pass_rate is not None][:MOST_CELLS]
    if not shown:
        return ""
    height = TOP_PX + ROW_PX * len(shown)
    rows = [_row(each, TOP_PX + ROW_PX * number) for number, each in enumerate(shown)]
    ticks = [_tick(share, height) for share in TICKS]
    width = NAMES_PX + SCALE_PX + 40
    return (
        f'<div class="wide"><svg width="{width}" height="{height}" role="img" font-size="12" '
        f'fill="currentColor"><title>Pass rate with its 95 % interval</title>'
        f"{''.join(ticks)}{''.join(rows)}</svg></div>"
    )


def _x(share: float) -> float:
    return NAMES_PX + SCALE_PX * share


def _tick(share: float, height: int) -> str:
    x = _x(share)
    return (
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP_PX - 6}" y2="{height}" stroke="var(--line)"/>'
        f'<text x="{x:.1f}" y="14" text-anchor="middle">{share:.0%}</text>'
    )


def _row(cell: EvalCell, top: int) -> str:
    """The name, a line from low to high, and a dot where the rate is."""
    middle = top + ROW_PX // 2
    name = visible(cell.name)
    if len(name) > LONGEST_NAME:
        name = name[: LONGEST_NAME - 1] + "…"
    label = f'<text x="0" y="{middle + 4}">{escape(name)}</text>'
    line = ""
    if cell.ci95 is not None:
        low, high = cell.ci95
        line = (
            f'<line x1="{_x(low):.1f}" x2="{_x(high):.1f}" y1="{middle}" y2="{middle}" '
            f'stroke="{COLOUR}" stroke-width="3"/>'
        )
    rate = _x(cell.pass_rate or 0.0)
    dot = f'<circle cx="{rate:.1f}" cy="{middle}" r="5" fill="{COLOUR}"/>'
    return label + line + dot
