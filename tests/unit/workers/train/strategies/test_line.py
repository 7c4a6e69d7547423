"""Uneven micro-batches are refused before the start, each with the number that would do."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")

from _shared.protocol import JobError
from train.strategies.line import check_micro_batches


def asked(schedule: str, rows: int, micro_batches: int, accumulate: int = 1) -> SimpleNamespace:
    return SimpleNamespace(
        pipeline_schedule=schedule,
        batch_size=rows,
        micro_batches=micro_batches,
        accumulate=accumulate,
    )


REFUSED = [
    (asked("gpipe", 10, 4), 1, "10 rows cannot be cut evenly into 1 shares of 4"),
    (asked("gpipe", 8, 2, 3), 1, "1 shares of 6 micro-batches"),
    (asked("gpipe", 12, 4), 2, "2 shares of 4"),
    (asked("1f1b", 8, 1), 1, "needs 2 micro-batches, not 1"),
    (asked("interleaved", 10, 5), 1, "cannot spread 5 micro-batches over 2 ranks"),
]


@pytest.mark.parametrize(("settings", "shares", "reason"), REFUSED)
def test_uneven_ones_are_refused(settings: SimpleNamespace, shares: int, reason: str) -> None:
    with pytest.raises(JobError, match=reason):
        check_micro_batches(settings, shares=shares, ranks=2)


@pytest.mark.parametrize("schedule", ["gpipe", "1f1b", "interleaved"])
def test_even_ones_are_taken(schedule: str) -> None:
    check_micro_batches(asked(schedule, 16, 4, 2), shares=2, ranks=2)
