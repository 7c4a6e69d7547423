"""Places for running requests and their KV tokens: whoever does not fit waits in line."""

import asyncio
from collections import deque

QueuedPlace = tuple[int, asyncio.Future[None]]
"""(KV tokens, the place to come)."""


class Places:
    """So many requests at once, and so many KV tokens (0: no limit) among them."""

    def __init__(self, *, most: int, kv_tokens: int) -> None:
        self._most = most
        self._kv_tokens = kv_tokens
        self._kv_used = 0
        self._queue: deque[QueuedPlace] = deque()
        self.running = 0

    @property
    def waiting(self) -> int:
        return len(self._queue)

    @property
    def kv_use(self) -> float:
        """The used share of the KV tokens."""
        if not self._kv_tokens:
            return 0.0
        return self._kv_used / self._kv_tokens

    async def enter(self, need: int) -> bool:
        """Takes a place with `need` KV tokens; whether it had to wait."""
        if self._fits(need) and not self._queue:
            self._take(need)
            return False
        loop = asyncio.get_running_loop()
        place: asyncio.Future[None] = loop.create_future()
        self._queue.append((need, place))
        await place
        return True

    def leave(self, need: int) -> None:
        self.running -= 1
        self._kv_used -= need
        while self._queue:
            wanted, place = self._queue[0]
            if not self._fits(wanted):
                return
            self._queue.popleft()
            if not place.cancelled():
                self._take(wanted)
                place.set_result(None)

    def _fits(self, need: int) -> bool:
        """A request larger than all KV tokens runs alone."""
        if self.running >= self._most:
            return False
        after = self._kv_used + need
        has_room = not self._kv_tokens or after <= self._kv_tokens
        return has_room or not self.running

    def _take(self, need: int) -> None:
        self.running += 1
        self._kv_used += need
