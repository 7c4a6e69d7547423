"""Large bodies come in step by step: a few of them go on in each turn of the event loop.

Without that, a turn reads a quarter of a megabyte of each of them before it looks at anybody else.
"""

from __future__ import annotations

import asyncio
from collections import deque

FREE_BYTES = 128 << 10
"""Of a body, before it waits for a turn."""
AT_ONCE = 2


class Pace:
    """First come, first served. Who has a turn holds nothing: no slow client is waited for."""

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._given = 0

    async def turn(self) -> None:
        loop = asyncio.get_running_loop()
        if not self._given:
            loop.call_soon(self._next)
        self._given += 1
        if self._given <= AT_ONCE:
            return
        mine = loop.create_future()
        self._waiting.append(mine)
        await mine

    def _next(self) -> None:
        """In the loop's next turn."""
        self._given = 0
        while self._waiting and self._given < AT_ONCE:
            mine = self._waiting.popleft()
            if not mine.done():
                self._given += 1
                mine.set_result(None)
        if self._given:
            asyncio.get_running_loop().call_soon(self._next)
