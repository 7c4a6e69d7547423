"""How much of a text is read and compared, by the model's size."""

from __future__ import annotations

import pytest

pytest.importorskip("transformers", reason="transformers is not installed")

from hf.reference import (
    LEAST_TOKENS,
    LOGITS_BYTES,
    MOST_TOKENS,
    WORK,
    spread_positions,
    tokens_to_read,
)


def test_the_larger_the_model_the_shorter_the_text() -> None:
    assert tokens_to_read(10**6, None) == MOST_TOKENS
    assert tokens_to_read(10**6, 200) == 200
    middle = tokens_to_read(2 * 10**8, None)
    assert middle == WORK / (2 * 10**8)
    assert tokens_to_read(10**10, None) == LEAST_TOKENS


@pytest.mark.parametrize(
    ("tokens", "vocabulary"), [(1024, 600), (371, 49152), (96, 262144), (2, 9)]
)
def test_positions_are_spread_from_the_first_to_the_last(tokens: int, vocabulary: int) -> None:
    found = spread_positions(tokens, vocabulary)
    assert found == sorted(set(found))
    assert (found[0], found[-1]) == (0, tokens - 1)
    assert 4 * vocabulary * len(found) <= max(LOGITS_BYTES, 4 * vocabulary * 48)
