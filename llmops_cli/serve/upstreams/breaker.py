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


class RecentFailures:
    """So many, and whose requests they were."""

    def __init__(self) -> None:
        self.count = 0
        self.clients: set[str] = set()

    def add(self, who: str) -> None:
        self.count += 1
        self.clients.add(who)

    def clear(self) -> None:
        if self.count:
            self.count = 0
            self.clients = set()


class Breaker:
    """Whether an upstream may be asked, from how the last requests went.

    It opens after IN_ROW failures in a row, before or amid answers, or when half of MANY in ten
    seconds fail; an open one lets a single probe through after a pause that doubles each time, up
    to a minute. After the probe's first byte it is closed on trial: the next failure opens it.
    Where one client's requests alone fail and others' are answered, they are that client's own
    doing and open nothing. Where nobody else was answered lately, it opens to that client alone:
    another's next request shows what is the matter. `openings`: how often it has opened; what was
    asked before the last time says no more.
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
        self._silent = RecentFailures()
        self._broken = RecentFailures()
        self._recent = RecentFailures()
        self._asked = 0
        self._answered: dict[str, float] = {}
        self._window = now()
        self._until = 0.0
        self._pause_s = self.FIRST_S
        self._probing = False
        self._on_trial = False
        self._suspect: str | None = None
        self.openings = 0

    def allows(self, who: str = "") -> bool:
        if self.state is BreakerState.CLOSED or self._is_open_to_others_than(who):
            return True
        return not self._probing and self._now() >= self._until

    def _is_open_to_others_than(self, who: str) -> bool:
        """Whether only another client's requests have failed."""
        return self._suspect is not None and self._suspect != who

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

    def answered(self, who: str = "", *, probe: bool = False) -> None:
        """An answer has begun."""
        if probe:
            self.closes_on_trial()
        self._count()
        self._silent.clear()
        self._answered[who] = self._now()

    def closes_on_trial(self) -> None:
        """The probe was answered."""
        self.state = BreakerState.CLOSED
        self._probing = False
        self._on_trial = True
        self._suspect = None
        self._asked = 0
        for failures in (self._silent, self._broken, self._recent):
            failures.clear()

    def ended_well(self) -> None:
        """An answer was whole."""
        self._broken.clear()
        if self._on_trial:
            self._on_trial = False
            self._pause_s = self.FIRST_S

    def failed(self, who: str = "", *, begun: bool = False, probe: bool = False) -> None:
        """`begun`: an answer broke off, else there was none."""
        if begun:
            self._broken.add(who)
        else:
            self._silent.add(who)
            self._count()
        self._recent.add(who)
        if self._is_open_to_others_than(who):
            self._suspect = None
        is_own = self._is_own({who})
        if probe:
            self._open(longer=not is_own)
        elif self._on_trial and not is_own:
            self._suspect = who
            self._open(longer=True)
        elif self.state is BreakerState.CLOSED and self._is_bad():
            self._suspect = self._only_client()
            self._open(longer=False)

    def undecided(self) -> None:
        """The probe ended without saying anything of the upstream: its client left."""
        self.state = BreakerState.OPEN
        self._probing = False

    def _open(self, *, longer: bool) -> None:
        if longer:
            self._pause_s = min(self.MOST_S, self._pause_s * 2)
        self.openings += 1
        self.state = BreakerState.OPEN
        self._probing = False
        self._on_trial = False
        jitter = 1 + self._random.random() / 4
        self._until = self._now() + self._pause_s * jitter

    def _is_bad(self) -> bool:
        for row in (self._silent, self._broken):
            if row.count >= self.IN_ROW and not self._is_own(row.clients):
                return True
        if self._asked < self.MANY or self._recent.count * 2 < self._asked:
            return False
        return not self._is_own(self._recent.clients)

    def _only_client(self) -> str | None:
        """Whose requests have failed lately, if it was one client's alone."""
        clients = self._silent.clients | self._broken.clients | self._recent.clients
        return next(iter(clients)) if len(clients) == 1 else None

    def _is_own(self, clients: set[str]) -> bool:
        """Whether somebody beside the one client that fails was answered lately."""
        if len(clients) != 1:
            return False
        since = self._now() - self.WINDOW_S
        return any(at >= since for who, at in self._answered.items() if who not in clients)

    def _count(self) -> None:
        now = self._now()
        if now - self._window > self.WINDOW_S:
            self._window = now
            self._asked = 0
            self._recent.clear()
            self._answered = {
                who: at for who, at in self._answered.items() if at >= now - self.WINDOW_S
            }
        self._asked += 1
