"""Words that change what a question asks for: a list for each way, in many languages."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import msgspec
import yaml


class FactWords(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """As answers/data/fact_words.yaml has them. Words between spaces."""

    negations: str
    numbers: str
    times: str
    units: str
    how_much: str
    logic: str
    tenses: str
    which: str
    sides: str
    opposites: str
    starters: str
    fillers: str
    able_before: str
    written_together: str
    character_numbers: str


COUNTING = (
    "negations",
    "numbers",
    "times",
    "units",
    "how_much",
    "logic",
    "tenses",
    "which",
    "sides",
    "opposites",
)
"""Lists of what no other wording may change."""


@cache
def words_of_list(name: str) -> frozenset[str]:
    text: str = getattr(fact_words(), name)
    return frozenset(text.split())


@cache
def counting_words() -> frozenset[str]:
    return frozenset().union(*map(words_of_list, COUNTING))


@cache
def fact_words() -> FactWords:
    """Read when a question is first compared by meaning."""
    text = files("llmops_cli.serve.answers").joinpath("data/fact_words.yaml").read_text("utf-8")
    return msgspec.convert(yaml.safe_load(text), FactWords)
