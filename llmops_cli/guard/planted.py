"""Whether a document or a tool's result has an order to the model that reads it, in any words.

What such an order speaks of is in data/planted.yaml: a machine that reads this is spoken to, is
asked for something, and it is nothing that an honest text asks for.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

from llmops_cli.guard.clauses import clauses_of
from llmops_cli.guard.meanings import Meanings
from llmops_cli.guard.rules import Rule

DATA = Path(__file__).with_name("data") / "planted.yaml"
NAMED = " . model . "
CALLED = " . xmodel"
"""Where it stands by itself: it is called if an order follows, `Model: X200` is a machine."""


@cache
def _meanings() -> Meanings:
    return Meanings(DATA, reach=2)


def planted_in(text: str, words: str) -> list[Rule]:
    """`words`: of its clauses, in one line."""
    return _meanings().held(words, lambda: _clauses(text))


def _clauses(text: str) -> Iterator[str]:
    is_called = False
    for clause in clauses_of(text):
        words = clause.words
        yield CALLED + words if is_called else words
        is_called = words == NAMED
