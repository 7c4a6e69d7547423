"""What a trained model is asked again: all that stands before what is learned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

pytest.importorskip("torch", reason="torch is not installed")

import torch

from train.data.batch import Batch
from train.questions import LONGEST_TOKENS, PLAIN_TOKENS, questions_of


@dataclass
class Steps:
    """A source of one row a step: (tokens, weights)."""

    rows_of: list[tuple[list[int], list[float]]]

    def rows(self, step: int, numbers: Sequence[int]) -> Batch:
        tokens, weights = self.rows_of[step]
        ids = torch.tensor([tokens for _ in numbers])
        return Batch(ids, ids, torch.tensor([weights for _ in numbers]), ids, 1, ())

    def is_over(self, step: int) -> bool:
        return step >= len(self.rows_of)


def asked(*rows: tuple[list[int], list[float]]) -> list[list[int]]:
    source = Steps([*rows])
    return questions_of(source, batch_size=1)  # type: ignore[arg-type]


def test_a_chat_is_asked_up_to_its_answer() -> None:
    """A weight stands where the next token is predicted."""
    assert asked(([1, 2, 3, 4, 5, 0], [0, 0, 1, 1, 0, 0])) == [[1, 2, 3]]


def test_two_are_asked_and_what_teaches_nothing_or_is_long_is_passed_over() -> None:
    nothing = ([7, 7], [0.0, 0.0])
    long = ([*range(LONGEST_TOKENS + 2)], [0.0] * (LONGEST_TOKENS + 1) + [1.0])
    assert asked(nothing, ([1, 2], [0, 1]), long, ([3, 4], [0, 1]), ([5, 6], [0, 1])) == [
        [1, 2],
        [3, 4],
    ]


def test_of_a_plain_text_the_beginning_is_asked() -> None:
    tokens = [*range(1, 101)]
    assert asked((tokens, [1.0] * 100)) == [tokens[:PLAIN_TOKENS]]
    assert asked(([1, 2, 3, 4], [1.0] * 4)) == [[1, 2]]
