"""Prompts of an exact length, drawn from a seed.

They are cut from a long text of random words with known token costs, so a prompt of any length
takes microseconds and has exactly the tokens asked for.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from itertools import accumulate

from llmops_cli.bench.plan import Words

RING_WORDS = 8192
NONCE_WORDS = 5
HEAD_WORDS = 6
"""Random words at the beginning of each prompt: of some 90, so no two prompts share them."""


class Prompts:
    """Texts of an exact cost in tokens.

    The first word is always the same; `words.overhead` includes it.
    """

    def __init__(self, words: Words, seed: str) -> None:
        self.words = words
        self._cost = dict(zip(words.words, words.costs, strict=True))
        self._filler = min(words.words, key=self._cost.__getitem__)
        rng = random.Random(f"{seed}/ring")
        ring = rng.choices(words.words, k=RING_WORDS)
        twice = ring * 2
        costs = [self._cost[word] for word in twice]
        lengths = [len(word) + 1 for word in twice]  # with the space before it
        self._text = "".join(f" {word}" for word in twice)
        self._costs = [0, *accumulate(costs)]
        self._places = [0, *accumulate(lengths)]
        self._whole = self._costs[RING_WORDS]

    def text(
        self,
        tokens: int,
        rng: random.Random,
        *,
        head: int = HEAD_WORDS,
    ) -> str:
        """A text that costs `tokens`, each word with its leading space.

        `head` of them are drawn one by one.
        """
        parts = []
        for _ in range(head):
            word = rng.choice(self.words.words)
            if self._cost[word] > tokens:
                break
            parts.append(f" {word}")
            tokens -= self._cost[word]
        if tokens > 0:
            start = rng.randrange(RING_WORDS)
            parts.append(self._slice(tokens, start))
        return "".join(parts)

    def _slice(self, tokens: int, start: int) -> str:
        rounds, tokens = divmod(tokens, self._whole)
        first = self._places[start]
        after_round = self._places[start + RING_WORDS]
        whole = self._text[first:after_round] * rounds
        begun = self._costs[start]
        wanted = begun + tokens
        end = bisect_right(self._costs, wanted, start) - 1
        rest = wanted - self._costs[end]
        fillers = rest // self._cost[self._filler]
        filler = f" {self._filler}" * fillers
        last = self._places[end]
        return whole + self._text[first:last] + filler

    def prompt(
        self,
        tokens: int,
        rng: random.Random,
        *,
        nonce: str,
        prefix: str = "",
        prefix_tokens: int = 0,
    ) -> str:
        """A prompt of `tokens`, its chat template included.

        First word, nonce, shared prefix, and its own words.
        """
        left = tokens - self.words.overhead - prefix_tokens
        start, left = self.opening(nonce, left)
        own = ""
        if left > 0:
            own = self.text(left, rng)
        return start + prefix + own

    def opening(self, nonce: str, tokens: int) -> tuple[str, int]:
        """The first word, with the nonce if it fits into `tokens`, and what is left of them."""
        first = self.words.words[0]
        if not nonce or tokens <= 2 * NONCE_WORDS:
            return first, tokens
        rng = random.Random(nonce)
        words = rng.choices(self.words.words, k=NONCE_WORDS)
        lead = "".join(f" {word}" for word in words)
        left = tokens - self.cost(lead)
        return first + lead, left

    def cost(self, text: str) -> int:
        words = text.split()
        return sum(self._cost[word] for word in words)
