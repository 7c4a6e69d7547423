"""What stands below the table of a load test."""

from __future__ import annotations

from llmops_cli.bench.tables import startup_words
from llmops_cli.core.report import StartUp


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
