"""Questions that are alike and mean something else, whatever an embedding says of them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from llmops_cli.serve.answers.facts import facts_of, is_another_wording, words_of

Pair = tuple[str, str]
DATA = Path(__file__).parents[3] / "data" / "hard_pairs.yaml"
PAIRS: dict[str, Any] = yaml.safe_load(DATA.read_text(encoding="utf-8"))
HITS_LEAST = 0.75


def hits(pair: Pair) -> bool:
    """As if their vectors were the same: what an embedding adds can only lead to fewer hits."""
    one, other = pair
    if facts_of(one) != facts_of(other):
        return False
    return is_another_wording(words_of(one), words_of(other))


def differing() -> Iterator[Any]:
    for kind, pairs in PAIRS["differ"].items():
        for pair in pairs:
            yield pytest.param(tuple(pair.split(" | ")), id=f"{kind}: {pair}")


@pytest.mark.parametrize("pair", list(differing()))
def test_another_question_is_no_hit(pair: Pair) -> None:
    assert not hits(pair)
    assert not hits((pair[1], pair[0]))
    assert hits((pair[0], pair[0]))


def test_most_other_wordings_are_hits() -> None:
    found = [hits(tuple(pair.split(" | "))) for pair in PAIRS["same"]]
    assert sum(found) / len(found) >= HITS_LEAST


def test_case_and_spaces_are_another_wording() -> None:
    assert hits(("how do i reset my password", "How do I  reset my password?"))
    assert not hits(("Was ist Rust?", "was ist rust?")), "a capital may make a name"


def test_questions_of_one_word_are_compared_in_a_moment() -> None:
    """A quarter of a second for each pair, and up to sixteen of them while nobody is served."""
    word = "b " * 995
    start = time.process_time()
    assert not is_another_wording(words_of(f"{word}ka"), words_of(f"{word}ko"))
    assert is_another_wording(words_of(f"{word}ka ki"), words_of(f"{word}ko"))
    assert time.process_time() - start < 0.1
