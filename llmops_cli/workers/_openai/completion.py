"""One completion between its HTTP request and the thread that computes it.

Standard library only.
"""

import asyncio
import contextlib
from typing import Any, NamedTuple

DEFAULT_MAX_TOKENS = 512


class TokenChunk(NamedTuple):
    """Tokens as they came; with `finish` the last ones, with `error` because of that."""

    tokens: list[int]
    finish: str | None = None
    error: str | None = None


class PendingCompletion:
    """What was asked, and the tokens so far.

    `put` and `end` may be called from any thread; `cancelled` tells that nobody listens.
    """

    def __init__(
        self,
        prompt: list[int],
        fields: dict[str, Any],
        *,
        room: int,
        model: str,
    ) -> None:
        self.prompt = prompt
        self.model = model
        self.max_tokens = _most_tokens(fields, room)
        self.temperature = _number(fields, "temperature")
        self.top_p = _number(fields, "top_p")
        top_k = fields.get("top_k") or 0
        self.top_k = int(top_k)
        self.seed: int | None = fields.get("seed")
        self.ignore_eos = bool(fields.get("ignore_eos"))
        self.tokens: list[int] = []
        self.cancelled = False
        self.finished = False
        self._loop = asyncio.get_running_loop()
        self._chunks: asyncio.Queue[TokenChunk] = asyncio.Queue()

    def put(self, tokens: list[int]) -> bool:
        """Takes tokens up to the limit; True when no more are wanted."""
        if self.finished or self.cancelled:
            return True
        room = self.max_tokens - len(self.tokens)
        kept = tokens[:room]
        self.tokens += kept
        if kept:
            self._send(TokenChunk(kept))
        if len(self.tokens) >= self.max_tokens:
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

    async def next_chunk(self) -> TokenChunk:
        return await self._chunks.get()


def _most_tokens(fields: dict[str, Any], room: int) -> int:
    for name in ("max_completion_tokens", "max_tokens"):
        wanted = fields.get(name)
        if wanted:
            return min(int(wanted), room)
    return min(DEFAULT_MAX_TOKENS, room)


def _number(fields: dict[str, Any], name: str) -> float:
    """1 where the client says nothing."""
    value = fields.get(name)
    if value is None:
        return 1.0
    return float(value)
