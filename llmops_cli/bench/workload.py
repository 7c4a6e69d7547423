"""Seeded synthetic prompts of a wanted length, each with a different beginning."""

from __future__ import annotations

import random
from collections.abc import Callable

WORDS = [
    "time",
    "year",
    "people",
    "way",
    "day",
    "man",
    "thing",
    "woman",
    "life",
    "child",
    "world",
    "school",
    "state",
    "family",
    "student",
    "group",
    "country",
    "problem",
    "hand",
    "part",
    "place",
    "case",
    "week",
    "company",
    "system",
    "program",
    "question",
    "work",
    "number",
    "night",
    "point",
    "home",
    "water",
    "room",
    "mother",
    "area",
    "money",
    "story",
    "fact",
    "month",
    "lot",
    "right",
    "study",
    "book",
    "eye",
    "job",
    "word",
    "business",
    "issue",
    "side",
    "kind",
    "head",
    "house",
    "service",
    "friend",
    "father",
    "power",
    "hour",
    "game",
    "line",
    "end",
    "member",
    "law",
    "car",
    "city",
    "name",
    "president",
    "team",
    "minute",
    "idea",
    "body",
    "back",
    "parent",
    "face",
    "others",
    "level",
    "office",
    "door",
    "health",
    "person",
    "art",
    "war",
    "history",
    "party",
    "result",
    "change",
    "morning",
    "reason",
    "research",
    "girl",
    "guy",
]

CountTokens = Callable[[str], int | None]
"""Tokens the server would see for a prompt as a chat message, or None if it cannot say."""


def make_prompts(
    count: int, *, tokens: int, shared_prefix_tokens: int, seed: int, count_tokens: CountTokens
) -> list[str]:
    """`count` prompts of about `tokens` tokens each (exactly, where the tokenizer allows it).

    The first `shared_prefix_tokens` are the same text in all of them; the rest differs from its first word.
    The same seed gives the same prompts. Without a tokenizer a word counts as one token.
    """
    rng = random.Random(seed)
    prefix = " ".join(rng.choices(WORDS, k=shared_prefix_tokens)) + " " if shared_prefix_tokens else ""
    words_per_token = _words_per_token(prefix, tokens, rng, count_tokens)
    return [prefix + _fit(prefix, tokens, words_per_token, rng, count_tokens) for _ in range(count)]


def _words_per_token(prefix: str, tokens: int, rng: random.Random, count_tokens: CountTokens) -> float:
    probe = max(tokens, 32)
    counted = count_tokens(" ".join(rng.choices(WORDS, k=probe)))
    return probe / counted if counted else 1.0


def _fit(prefix: str, tokens: int, words_per_token: float, rng: random.Random, count_tokens: CountTokens) -> str:
    words = rng.choices(WORDS, k=max(1, round(tokens * words_per_token)))
    best: tuple[int, list[str]] | None = None
    for _ in range(8):
        counted = count_tokens(prefix + " ".join(words))
        if counted is None:
            return " ".join(words[: max(1, tokens - len(prefix.split()))])
        gap = tokens - counted
        if best is None or abs(gap) < abs(best[0]):
            best = (gap, list(words))
        if gap == 0 or (gap < 0 and len(words) == 1):
            break
        if gap > 0:
            words += rng.choices(WORDS, k=max(1, round(gap * words_per_token)))
        else:
            del words[max(1, len(words) - max(1, round(-gap * words_per_token))) :]
    assert best is not None
    return " ".join(best[1])
