"""What is told of data that are only sampled does not claim more than was seen."""

from __future__ import annotations

from typing import Any

import pytest

from train.data.counts import Counts
from train.data.encoder import Encoding
from train.data.notices import notices_of
from train.data.sample import sample_of
from train.data.survey import Survey

HOW = Encoding(length=512, train_on="all", prompt_weight=0.0, too_long="drop", packs=False)


def told(dropped: int, *, size: int, looked_at: int) -> list[str]:
    counts = Counts(samples=size, tokens=10 * size, supervised_tokens=size, dropped=dropped)
    return notices_of("a.jsonl", Survey(counts, size, looked_at), HOW)


def test_few_rows_make_no_estimate() -> None:
    said = told(1000, size=1_000_000, looked_at=2000)[1]
    assert "2 of the 2,000 looked at: too few" in said
    assert "about" not in said


@pytest.mark.parametrize(
    ("dropped", "looked_at", "words"),
    [(50_000, 2000, "about 50,000 samples longer"), (1, 1_000_000, "1 sample longer")],
)
def test_others_are_counted_or_projected(dropped: int, looked_at: int, words: str) -> None:
    assert words in told(dropped, size=1_000_000, looked_at=looked_at)[1]


@pytest.mark.parametrize(
    ("weights", "pairs"), [([0, 1, 1, 0, 0], 2), ([1, 1, 1], 2), ([1, 0, 0], 0), ([], 0), ([1], 0)]
)
def test_tokens_end_with_the_last_that_counts(weights: list[int], pairs: int) -> None:
    sample: Any = sample_of(0, range(len(weights)), weights)
    assert sample.pairs == pairs
