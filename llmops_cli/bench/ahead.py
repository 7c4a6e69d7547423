"""The first requests of the sessions to come, made before their time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from llmops_cli.bench.session import PlannedTurn, Session

FEWEST_READY = 64

FirstTurn = tuple[int, Session, PlannedTurn | None]
"""(number, session, its first request)."""


class SessionsAhead:
    """Sessions in order. Some are ready, so that nothing is made when one is due."""

    def __init__(self, sessions: Iterator[tuple[int, Session]], *, streams: int) -> None:
        self._sessions = sessions
        self._wanted = max(FEWEST_READY, streams)
        self._ready: deque[FirstTurn] = deque()
        self._exhausted = False

    @property
    def is_full(self) -> bool:
        """Enough are ready, or there are no more."""
        ready = len(self._ready)
        return self._exhausted or ready >= self._wanted

    @property
    def is_empty(self) -> bool:
        return self._exhausted and not self._ready

    def prepare(self) -> bool:
        """One more is ready; False if there are no more."""
        found = next(self._sessions, None)
        if found is None:
            self._exhausted = True
            return False
        number, session = found
        turn = session.next_turn(None)
        self._ready.append((number, session, turn))
        return True

    def fill(self) -> None:
        while not self.is_full:
            self.prepare()

    def take(self) -> FirstTurn | None:
        """The next session, made now if none is ready; None after the last."""
        if not self._ready and not self._exhausted:
            self.prepare()
        if not self._ready:
            return None
        return self._ready.popleft()
