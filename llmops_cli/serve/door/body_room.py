"""How much of large bodies may lie here while the rest of them is still to come.

A client that sends most of a body and then stops costs as much memory as the body, for as long as
it may take. So whoever begins a large one asks for room for all of it, and waits for that; what it
sends meanwhile waits in its connection.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

MOST_BYTES = 1 << 30
"""Of all bodies together that are coming in."""
EACH_BYTES = 256 << 20
"""Of those of one client."""


class BodyRoom:
    """A client is a key, or an address where none is needed. Each is served in order."""

    def __init__(self, *, most: int = MOST_BYTES, each: int = EACH_BYTES) -> None:
        self._most = most
        self._each = each
        self._taken = 0
        self._of: dict[str, int] = {}
        self._waiting: dict[str, deque[tuple[int, asyncio.Future[None]]]] = {}

    @asynccontextmanager
    async def held(self, client: str, size: int) -> AsyncIterator[None]:
        """Waits until there is room. What is larger than all of it takes all of it."""
        size = min(size, self._each)
        if client in self._waiting or not self._fits(client, size):
            await self._wait(client, size)
        else:
            self._take(client, size)
        try:
            yield
        finally:
            self._give(client, size)

    def _fits(self, client: str, size: int) -> bool:
        of_client = self._of.get(client, 0) + size
        return of_client <= self._each and self._taken + size <= self._most

    def _take(self, client: str, size: int) -> None:
        self._taken += size
        self._of[client] = self._of.get(client, 0) + size

    async def _wait(self, client: str, size: int) -> None:
        mine = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(client, deque()).append((size, mine))
        try:
            await mine
        except asyncio.CancelledError:
            if not mine.cancelled():
                self._give(client, size)
            raise

    def _give(self, client: str, size: int) -> None:
        self._taken -= size
        left = self._of[client] - size
        if left:
            self._of[client] = left
        else:
            del self._of[client]
        self._admit()

    def _admit(self) -> None:
        """One of each client in turn, as long as something fits."""
        has_room = True
        while has_room:
            admitted = [self._admit_one(client) for client in list(self._waiting)]
            has_room = any(admitted)

    def _admit_one(self, client: str) -> bool:
        """Whoever was admitted is the last of the next turn."""
        waiting = self._waiting[client]
        while waiting and waiting[0][1].cancelled():
            waiting.popleft()
        is_next = bool(waiting) and self._fits(client, waiting[0][0])
        if is_next:
            size, theirs = waiting.popleft()
            self._take(client, size)
            theirs.set_result(None)
            del self._waiting[client]
            self._waiting[client] = waiting
        if not waiting:
            del self._waiting[client]
        return is_next
