"""The picture of pass rates."""

from __future__ import annotations

import re

import msgspec
import pytest

from llmops_cli.prompt.evals.interval_plot import NAMES_PX, SCALE_PX, interval_plot
from llmops_cli.prompt.evals.report import EvalCell

CELL = EvalCell(
    prompt="<b>",
    model="m",
    n=4,
    cases=4,
    passes=3,
    pass_rate=0.75,
    ci95=(0.25, 1.0),
    score=None,
    errors=0,
    tokens=0,
    input_tokens=0,
    output_tokens=0,
    cost=None,
    latency_p50_ms=None,
    latency_p95_ms=None,
    cached=0,
    metrics={},
    error_kinds={},
)


def test_rate_and_interval_stand_on_the_scale_and_names_are_no_markup() -> None:
    drawn = interval_plot([CELL])
    line = re.search(
        r'<line x1="([\d.]+)" x2="([\d.]+)" y1="\d+" y2="\d+" stroke="var\(--lead\)', drawn
    )
    dot = re.search(r'<circle cx="([\d.]+)"', drawn)
    assert line
    assert dot
    places = [float(text) for text in (*line.groups(), dot[1])]
    assert places == pytest.approx([NAMES_PX + SCALE_PX * share for share in (0.25, 1.0, 0.75)])
    assert "<b>" not in drawn


def test_cells_without_a_verdict_are_not_drawn() -> None:
    assert interval_plot([msgspec.structs.replace(CELL, pass_rate=None, ci95=None)]) == ""
