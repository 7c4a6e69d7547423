"""What stands below the table of a load test."""

from __future__ import annotations

import pytest
from rich.console import Console

from llmops_cli.bench.report import Comparison, Difference
from llmops_cli.bench.tables import COMPARISON_DROPPABLE, comparison_table, startup_words
from llmops_cli.core.report import StartUp
from llmops_cli.show.tables import Narrowed


def test_a_start_is_told_part_by_part_and_whether_it_was_warm() -> None:
    warm = StartUp(process_s=5.0, load_s=2.1, first_token_s=1.02, cached_share=0.98)
    assert startup_words(warm) == (
        "start-up 8.12 s: process 5.00, load 2.10, first token 1.02; "
        "warm: 98% of its weights lay in main memory"
    )
    cold = StartUp(load_s=2.0, first_token_s=1.0, cached_share=0.02)
    assert startup_words(cold) == (
        "start-up 3.00 s: load 2.00, first token 1.00; cold: 2% of its weights lay in main memory"
    )
    assert startup_words(StartUp(load_s=2.0)) == "start-up 2.00 s: load 2.00"


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_comparison_is_a_table_at_every_width(width: int) -> None:
    """At 60 columns it was a hundred lines, one for each cell."""
    rows = [
        Difference(
            load="16 streams",
            metric="output_tokens_per_s",
            baseline=1373.7,
            current=1234.5,
            ratio=0.9,
            ratio_ci95=(0.85, 0.95),
            verdict="slower",
        ),
        Difference(
            load="16 streams",
            metric="error_rate",
            baseline=0.0,
            current=0.01,
            change=0.0123,
            change_ci95=(-0.031, 0.031),
        ),
    ]
    found = Comparison(baseline="before", current="after", differences=rows)
    console = Console(width=width, color_system=None)
    with console.capture() as caught:
        console.print(Narrowed(comparison_table(found), droppable=COMPARISON_DROPPABLE))
    (line,) = [each for each in caught.get().splitlines() if "output_tokens_per_s" in each]
    assert "16 streams" in line
    assert "slower" in line
    assert "-10.0%" in line
