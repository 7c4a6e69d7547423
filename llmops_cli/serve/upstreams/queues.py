"""Requests that wait because each upstream of their model is full."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Collection
from enum import Enum, auto

from llmops_cli.serve.turns import Turns

RECENT = 0.2
"""Weight of the last interval between two free places in their average."""
INTERVAL_MOST_S = 60.0
OTHERS_EVERY_S = 0.05
"""How often those who wait are asked whether a place helps them that none of them waited for."""


class Waited(Enum):
    """How a wait ended."""

    WOKEN = auto()
    LATE = auto()
    DISPLACED = auto()
    """By another's request: its own key had most of those that waited."""


Fits = Callable[[], bool]
"""Whether there is a place now that the request may take."""


class Turn:
    """One request that waits."""

    def __init__(self, fits: Fits) -> None:
        self.fits = fits
        self.ended: asyncio.Future[Waited] = asyncio.get_running_loop().create_future()

    def end(self, how: Waited) -> None:
        if not self.ended.done():
            self.ended.set_result(how)

    def how(self) -> Waited:
        if not self.ended.done() or self.ended.cancelled():
            return Waited.LATE
        return self.ended.result()


def _can_go(turn: Turn) -> bool:
    return not turn.ended.done() and turn.fits()


class Line:
    """Requests of one urgency. Those `again` were woken for nothing, and come first."""

    def __init__(self) -> None:
        self.again = deque[Turn]()
        self.turns = Turns[Turn]()

    def __len__(self) -> int:
        return len(self.again) + len(self.turns)

    def before(self, who: str) -> int:
        return len(self.again) + self.turns.before(who)

    def next(self) -> Turn | None:
        """The first that can go. Those for whom no place is free keep nobody waiting."""
        for turn in self.again:
            if _can_go(turn):
                self.again.remove(turn)
                return turn
        return self.turns.first_of(_can_go)

    def has_next(self) -> bool:
        return any(map(_can_go, self.again)) or self.turns.any(_can_go)

    def remove(self, who: str, turn: Turn) -> None:
        if turn in self.again:
            self.again.remove(turn)
        self.turns.remove(who, turn)


class Queue:
    """Of one model. Interactive requests go first, and of them one of each key in turn."""

    def __init__(self) -> None:
        self._interactive = Line()
        self._batch = Line()
        self._woken = 0
        self._wanted = set[object]()
        self._others_from_s = 0.0

    def depth(self) -> int:
        """Those that were woken and have not run yet stand in it still."""
        return len(self._interactive) + len(self._batch) + self._woken

    def before(self, who: str, *, urgent: bool) -> int:
        """How many come before one more of this key."""
        if urgent:
            return self._woken + self._interactive.before(who)
        return self._woken + len(self._interactive) + self._batch.before(who)

    def freed(self, upstream: object, now_s: float) -> None:
        """Asking all costs time: for upstreams that a reload or a canary may have added, seldom."""
        if upstream not in self._wanted:
            if now_s < self._others_from_s:
                return
            self._others_from_s = now_s + OTHERS_EVERY_S
        self.wake()

    def wake(self) -> None:
        """The first that has a place now."""
        turn = self._interactive.next() or self._batch.next()
        if turn is not None:
            self._woken += 1
            turn.end(Waited.WOKEN)

    def has_claims(self) -> bool:
        """Whether a place that is free is somebody's who waits."""
        if self._woken:
            return True
        return self._interactive.has_next() or self._batch.has_next()

    def make_room(self, who: str, *, urgent: bool) -> bool:
        """Whether the last that came of the key with most has given its place to this one.

        What waits in batch gives way first, and to others in batch nobody else does.
        """
        counts = Counter(self._batch.turns.counts())
        if urgent:
            counts.update(self._interactive.turns.counts())
        if not counts:
            return False
        key, most = counts.most_common(1)[0]
        own = self._interactive.turns.count(who) + self._batch.turns.count(who)
        if most <= own + 1:
            return False
        line = self._batch if self._batch.turns.count(key) else self._interactive
        line.turns.last(key).end(Waited.DISPLACED)
        return True

    async def wait(
        self,
        who: str,
        *,
        urgent: bool,
        again: bool,
        seconds: float,
        fits: Fits,
        upstreams: Collection[object],
    ) -> Waited:
        self._wanted.update(upstreams)
        line = self._interactive if urgent else self._batch
        turn = Turn(fits)
        if again:
            line.again.appendleft(turn)
        else:
            line.turns.put(who, turn)
        try:
            async with asyncio.timeout(seconds):
                await turn.ended
        except TimeoutError:
            pass
        except asyncio.CancelledError:
            if turn.how() is Waited.WOKEN:
                self.wake()
            raise
        finally:
            line.remove(who, turn)
            if turn.how() is Waited.WOKEN:
                self._woken -= 1
        return turn.how()


def _always() -> bool:
    return True


class Queues:
    """By model. They outlive a reload."""

    def __init__(self) -> None:
        self._queues: dict[str, Queue] = {}
        self.interval_s = 0.0
        """Between two free places, lately."""
        self._freed_at = 0.0

    def depth(self, name: str) -> int:
        queue = self._queues.get(name)
        return 0 if queue is None else queue.depth()

    def has_claims(self, name: str) -> bool:
        """Whether somebody waits for a place that is free."""
        queue = self._queues.get(name)
        return queue is not None and queue.has_claims()

    def total(self) -> int:
        return sum(queue.depth() for queue in self._queues.values())

    def expected_s(self, name: str, who: str, *, urgent: bool) -> float:
        """How long one more of theirs would wait, from how often places came free lately."""
        queue = self._queues.get(name)
        before = 0 if queue is None else queue.before(who, urgent=urgent)
        return self.interval_s * (before + 1)

    def make_room(self, name: str, who: str, *, urgent: bool) -> bool:
        """In a full one, for a key that has less in it than another."""
        queue = self._queues.get(name)
        return queue is not None and queue.make_room(who, urgent=urgent)

    def pass_on(self, name: str) -> None:
        """Who was woken has taken no place: the next may have it."""
        queue = self._queues.get(name)
        if queue is not None:
            queue.wake()

    def freed(self, upstream: object) -> None:
        """It has a place again."""
        if not self._queues:
            return
        now = time.monotonic()
        if self._freed_at:
            interval_s = min(now - self._freed_at, INTERVAL_MOST_S)
            self.interval_s += RECENT * (interval_s - self.interval_s)
        self._freed_at = now
        for queue in list(self._queues.values()):
            queue.freed(upstream, now)

    def more_places(self, count: int) -> None:
        """An upstream has come."""
        for queue in list(self._queues.values()):
            for _ in range(min(count, queue.depth())):
                queue.wake()

    async def wait(
        self,
        name: str,
        who: str,
        *,
        urgent: bool,
        again: bool,
        seconds: float,
        fits: Fits = _always,
        upstreams: Collection[object] = (),
    ) -> Waited:
        """Until a place came free that it may take. Who was woken for nothing stands first `again`.

        `fits`: whether there is one now; while there is none, others are woken. `upstreams`: whose
        place it waits for.
        """
        queue = self._queues.setdefault(name, Queue())
        try:
            return await queue.wait(
                who,
                urgent=urgent,
                again=again,
                seconds=seconds,
                fits=fits,
                upstreams=upstreams,
            )
        finally:
            if queue.depth() == 0:
                self._queues.pop(name, None)
