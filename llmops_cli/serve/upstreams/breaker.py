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

    It opens after IN_ROW failures in a row, before or amid answers, or when half of MANY in ten
    seconds fail; an open one lets a single probe through after a pause that doubles each time, up
    to a minute. After the probe's first byte it is closed on trial: the next failure opens it.
    `openings`: how often it has opened; what was asked before the last time says no more.
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
        self._silent_row = 0
        self._broken_row = 0
        self._asked = 0
        self._failed = 0
        self._window = now()
        self._until = 0.0
        self._pause_s = self.FIRST_S
        self._probing = False
        self._on_trial = False
        self.openings = 0

    def allows(self) -> bool:
        if self.state is BreakerState.CLOSED:
            return True
        return not self._probing and self._now() >= self._until

    def opens_in_s(self) -> float:
        if self.state is BreakerState.CLOSED:
            return 0.0
        return max(0.0, self._until - self._now())

    def begin(self) -> bool:
        """A request goes out; whether it is the probe."""
        if self.state is BreakerState.CLOSED or self._probing:
            return False
        self.state = BreakerState.HALF_OPEN
        self._probing = True
        return True

    def answered(self, *, probe: bool = False) -> None:
        """An answer has begun."""
        if probe:
            self.closes_on_trial()
        self._count(failed=False)
        self._silent_row = 0

    def closes_on_trial(self) -> None:
        """The probe was answered."""
        self.state = BreakerState.CLOSED
        self._probing = False
        self._on_trial = True
        self._silent_row = 0
        self._broken_row = 0
        self._asked = 0
        self._failed = 0

    def ended_well(self) -> None:
        """An answer was whole."""
        self._broken_row = 0
        if self._on_trial:
            self._on_trial = False
            self._pause_s = self.FIRST_S

    def failed(self, *, begun: bool = False, probe: bool = False) -> None:
        """`begun`: an answer broke off, else there was none."""
        if begun:
            self._broken_row += 1
            self._failed += 1
        else:
            self._silent_row += 1
            self._count(failed=True)
        if probe or self._on_trial:
            self._pause_s = min(self.MOST_S, self._pause_s * 2)
            self._open()
        elif self.state is BreakerState.CLOSED and self._is_bad():
            self._open()

    def undecided(self) -> None:
        """The probe ended without saying anything of the upstream: its client left."""
        self.state = BreakerState.OPEN
        self._probing = False

    def _open(self) -> None:
        self.openings += 1
        self.state = BreakerState.OPEN
        self._probing = False
        self._on_trial = False
        jitter = 1 + self._random.random() / 4
        self._until = self._now() + self._pause_s * jitter

    def _is_bad(self) -> bool:
        if max(self._silent_row, self._broken_row) >= self.IN_ROW:
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
