"""One completion between its HTTP request and the thread that computes it.

Standard library only.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import NamedTuple

from _openai.generation import GenerationRequest


class TokenChunk(NamedTuple):
    """Tokens as they came; with `finish` the last ones, with `error` because of that."""

    tokens: list[int]
    finish: str | None = None
    error: str | None = None


def nothing() -> None:
    """For an engine that looks at `cancelled` as it goes."""


class PendingCompletion:
    """What was asked, and the tokens so far.

    `put` and `end` may be called from any thread, `cancel` from that of the front.
    """

    def __init__(self, request: GenerationRequest) -> None:
        self.request = request
        self.tokens: list[int] = []
        self.cancelled = False
        self.finished = False
        self.when_cancelled: Callable[[], None] = nothing
        self._loop = asyncio.get_running_loop()
        self._chunks: asyncio.Queue[TokenChunk] = asyncio.Queue()

    def put(self, tokens: list[int]) -> bool:
        """Takes tokens up to the limit; True when no more are wanted."""
        if self.is_over:
            return True
        room = self.request.max_tokens - len(self.tokens)
        kept = tokens[:room]
        self.tokens += kept
        if kept:
            self._send(TokenChunk(kept))
        if len(self.tokens) >= self.request.max_tokens:
            self.end("length")
        return self.finished

    def end(self, finish: str, error: str | None = None) -> None:
        """The first end counts."""
        if not self.finished:
            self.finished = True
            last = TokenChunk([], finish, error)
            self._send(last)

    def _send(self, chunk: TokenChunk) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended with the server
            self._loop.call_soon_threadsafe(self._chunks.put_nowait, chunk)

    def cancel(self) -> None:
        """Nobody listens any more; the engine hears of it if it asked to, and need not end it."""
        if not self.is_over:
            self.cancelled = True
            self.when_cancelled()
            self.end("stop")

    @property
    def is_over(self) -> bool:
        """Nothing more of it needs to be computed."""
        return self.finished or self.cancelled

    async def next_chunk(self) -> TokenChunk:
        return await self._chunks.get()
