"""A circuit breaker: an upstream that fails is left alone for a while, then tried once."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from enum import StrEnum


class BreakerState(StrEnum):
    """From good to bad."""

    CLOSED = "closed"
    HALF_OPEN = "half open"
    OPEN = "open"

    @property
    def badness(self) -> int:
        """0 to 2, as the metric has it."""
        return list(BreakerState).index(self)


class Breaker:
    """Whether an upstream may be asked, from how the last requests went.

    It opens after IN_ROW failures in a row, or when half of MANY in ten seconds fail; an open one
    lets a single probe through after a pause that doubles each time, up to a minute.
    """

    IN_ROW = 5
    MANY = 20
    WINDOW_S = 10.0
    FIRST_S = 1.0
    MOST_S = 60.0

    def __init__(
        self,
        *,
        now: Callable[[], float] = time.monotonic,
        seed: int | None = None,
    ) -> None:
        self._now = now
        self._random = random.Random(seed)
        self.state: BreakerState = BreakerState.CLOSED
        self._row = 0
        self._asked = 0
        self._failed = 0
        self._window = now()
        self._until = 0.0
        self._pause_s = self.FIRST_S
        self._probing = False

    def allows(self) -> bool:
        if self.state is BreakerState.CLOSED:
            return True
        return not self._probing and self._now() >= self._until

    def opens_in_s(self) -> float:
        if self.state is BreakerState.CLOSED:
            return 0.0
        return max(0.0, self._until - self._now())

    def begin(self) -> None:
        """A request goes out."""
        if self.state is not BreakerState.CLOSED:
            self.state = BreakerState.HALF_OPEN
            self._probing = True

    def succeeded(self) -> None:
        self._count(failed=False)
        if self.state is BreakerState.OPEN and not self._probing:
            return  # an answer to what was asked before it opened
        self._row = 0
        self._probing = False
        if self.state is not BreakerState.CLOSED:
            self.state = BreakerState.CLOSED
            self._pause_s = self.FIRST_S
            self._asked = 0
            self._failed = 0

    def failed(self) -> None:
        self._count(failed=True)
        self._row += 1
        was_probe = self._probing
        self._probing = False
        if was_probe:
            self._pause_s = min(self.MOST_S, self._pause_s * 2)
        if was_probe or (self.state is BreakerState.CLOSED and self._is_bad()):
            self.state = BreakerState.OPEN
            jitter = 1 + self._random.random() / 4
            self._until = self._now() + self._pause_s * jitter

    def undecided(self) -> None:
        """A request ended without saying anything of the upstream: its client left."""
        if self._probing:
            self.state = BreakerState.OPEN
            self._probing = False

    def _is_bad(self) -> bool:
        if self._row >= self.IN_ROW:
            return True
        return self._asked >= self.MANY and self._failed * 2 >= self._asked

    def _count(self, *, failed: bool) -> None:
        now = self._now()
        if now - self._window > self.WINDOW_S:
            self._window = now
            self._asked = 0
            self._failed = 0
        self._asked += 1
        self._failed += failed
