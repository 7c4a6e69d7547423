"""When the next request may go: so many a second, so many tokens a minute, not while told to wait.

Requests are spread evenly; nothing is saved up for a burst that a server would refuse.
"""

from __future__ import annotations

import asyncio
import time

MINUTE_S = 60.0

now_s = time.monotonic


class Pace:
    """`rate`: requests a second, `tokens_per_min`: of prompts and answers; None for no limit."""

    def __init__(self, *, rate: float | None, tokens_per_min: int | None) -> None:
        self._request_s = 1 / rate if rate else 0.0
        self._token_s = MINUTE_S / tokens_per_min if tokens_per_min else 0.0
        self._requests_at = 0.0
        self._tokens_at = 0.0
        self._held_until = 0.0
        self._bound_so_far = 0
        self._taken_so_far = 0

    async def turn(self, bound_tokens: int) -> float:
        """Returns when a request of at most so many tokens may go, and how many it may take.

        That is the share of their bounds that others took.
        """
        start = now_s()
        turn_at = max(self._requests_at, self._tokens_at, self._held_until, start)
        guess = bound_tokens * self._usual_share()
        if self._request_s:
            self._requests_at = turn_at + self._request_s
        if self._token_s:
            self._tokens_at = turn_at + guess * self._token_s
        if turn_at > start:
            await asyncio.sleep(turn_at - start)
            held_s = self._held_until - now_s()
            if held_s > 0:
                await asyncio.sleep(held_s)
        return guess

    def settle(self, bound_tokens: int, guess: float, taken_tokens: int) -> None:
        """Gives back what a request did not take, or takes what it did beyond the guess."""
        self._bound_so_far += bound_tokens
        self._taken_so_far += taken_tokens
        self._tokens_at += (taken_tokens - guess) * self._token_s

    def hold(self, seconds: float) -> None:
        """A server that is asked too much said for how long: that holds for all."""
        self._held_until = max(self._held_until, now_s() + seconds)

    def _usual_share(self) -> float:
        if not self._bound_so_far:
            return 1.0
        return self._taken_so_far / self._bound_so_far
