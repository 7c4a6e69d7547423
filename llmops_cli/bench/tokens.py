"""What words cost in the served model's own tokens, asked of the server itself.

A server with /tokenize is asked there; another is sent one-token requests and its usage is read.
Words that a tokenizer splits at spaces add up, so a few questions are enough for prompts of any
exact length.
"""

from __future__ import annotations

from collections.abc import Callable

from llmops_cli.bench.plan import Words
from llmops_cli.bench.vocabulary import WORDS

Ask = Callable[[str], int | None]
"""Tokens of the text as the user message of a chat (or as a plain prompt).

None if the server cannot say.
"""
FIRST = WORDS[0]
ONE_EACH = (1,) * len(WORDS)


def measure_words(ask: Ask, *, free: bool) -> Words:
    """`free` says whether a question costs nothing, so that each word may be asked for.

    The result is not exact if the server cannot say, or if its counts do not add up; a word is then
    a token.
    """
    found = _measured(ask, free=free)
    if found is None or not _adds_up(found, ask):
        return Words(words=tuple(WORDS), costs=ONE_EACH, overhead=1)
    return found


def _measured(ask: Ask, *, free: bool) -> Words | None:
    overhead = ask(FIRST)
    if overhead is None:
        return None
    every_word = " ".join([FIRST, *WORDS])
    whole = ask(every_word)
    if whole is None:
        return None
    if whole - overhead == len(WORDS):  # the usual vocabulary: one token a word
        return Words(words=tuple(WORDS), costs=ONE_EACH, overhead=overhead, exact=True)
    if not free:
        return None
    return _each_asked(ask, overhead)


def _each_asked(ask: Ask, overhead: int) -> Words | None:
    words: list[str] = []
    costs: list[int] = []
    for word in WORDS:
        count = ask(f"{FIRST} {word}") or 0
        cost = count - overhead
        if cost > 0:
            words.append(word)
            costs.append(cost)
    if not words:
        return None
    known = tuple(words)
    return Words(words=known, costs=tuple(costs), overhead=overhead, exact=True)


def _adds_up(words: Words, ask: Ask) -> bool:
    sample = words.words[::-3]
    costs = words.costs[::-3]
    first = words.words[0]
    text = " ".join([first, *sample])
    expected = words.overhead + sum(costs)
    return ask(text) == expected
