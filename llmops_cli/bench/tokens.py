"""What words cost in the served model's own tokens, asked of the server itself.

A server with /tokenize is asked there; another is sent one-token requests and its usage is read.
Words that a tokenizer splits at spaces add up, so a few questions are enough for prompts of any
exact length.
"""

from __future__ import annotations

from collections.abc import Callable

from llmops_cli.bench.plan import Words
from llmops_cli.bench.workload import WORDS

Ask = Callable[[str], int | None]
"""Tokens of the text as the user message of a chat (or as a plain prompt); None if the server
cannot say.
"""


def measure_words(ask: Ask, *, free: bool) -> Words:
    """`free` says whether a question costs nothing, so that each word may be asked for.

    The result is not exact if the server cannot say, or if its counts do not add up; a word is then
    a token.
    """
    guess = Words(words=tuple(WORDS), costs=(1,) * len(WORDS), overhead=1)
    first = WORDS[0]
    overhead = ask(first)
    whole = None if overhead is None else ask(" ".join([first, *WORDS]))
    if overhead is None or whole is None:
        return guess
    if whole - overhead == len(WORDS):  # the usual vocabulary: one token a word
        found = Words(words=tuple(WORDS), costs=guess.costs, overhead=overhead, exact=True)
    elif free:
        costs = [(ask(f"{first} {word}") or 0) - overhead for word in WORDS]
        usable = [(word, cost) for word, cost in zip(WORDS, costs, strict=True) if cost > 0]
        if not usable:
            return guess
        found = Words(
            words=tuple(w for w, _ in usable),
            costs=tuple(c for _, c in usable),
            overhead=overhead,
            exact=True,
        )
    else:
        found = guess
    return found if found.exact and _adds_up(found, ask) else guess


def _adds_up(words: Words, ask: Ask) -> bool:
    sample = list(zip(words.words, words.costs, strict=True))[::-3]
    text = " ".join([words.words[0], *(word for word, _ in sample)])
    return ask(text) == words.overhead + sum(cost for _, cost in sample)
