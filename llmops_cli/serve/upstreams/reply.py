"""An upstream's answer: its head, then its body as it comes, within the time that it has."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import msgspec

from llmops_cli.serve.upstreams.errors import AnswerTooLarge, FirstByteTimeout, ReadTimeout
from llmops_cli.serve.upstreams.event_lines import EVENT_STREAM
from llmops_cli.serve.upstreams.patience import Patience
from llmops_cli.serve.upstreams.wire import OK, Wire

WHOLE_MOST = 64 << 20
"""Bytes of an answer that is not streamed."""
JOIN_HERE_BYTES = 2 << 20
SLACK_S = 0.01
END_S = 1.0
"""Between what says that a stream has ended, and its connection's end."""


class Reply:
    """An answer whose head is there.

    Leaving it before its end closes the connection: the upstream should stop.
    """

    def __init__(self, wire: Wire, patience: Patience) -> None:
        self._wire = wire
        self._patience = patience
        self.status = wire.status
        self.headers = wire.headers
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._is_told = False
        self._watch()

    @property
    def wire(self) -> Wire:
        """For the pool that it came from."""
        return self._wire

    @property
    def complete(self) -> bool:
        return self._wire.complete

    @property
    def was_paused(self) -> bool:
        """Whether it had to wait for its reader."""
        return self._wire.was_paused

    @property
    def is_stream(self) -> bool:
        return self._wire.content_type.startswith(EVENT_STREAM)

    @property
    def redirect_host(self) -> str:
        """Where an answer of 3xx points to."""
        place = dict(self.headers).get(b"location", b"").decode("latin-1")
        try:
            return urlsplit(place).netloc.rpartition("@")[2] or "another path"
        except ValueError:
            return "another address"

    def usage_so_far(self) -> bytes:
        """What an answer in another dialect told of its tokens, as a chat's event; or nothing."""
        translation = self._wire.translation
        return b"" if translation is None else translation.so_far()

    def expect_end(self) -> None:
        """All of it was told: the connection's end is waited for shortly, and may be any."""
        self._is_told = True
        if self._wire.complete or self._patience.between_s <= END_S:
            return
        self._patience = msgspec.structs.replace(self._patience, between_s=END_S)
        self.close()
        self._watch()

    def last_s(self) -> float:
        """When the last byte came, by the loop's clock."""
        return self._wire.last

    def _watch(self) -> None:
        """One timer for the whole answer, which is cheaper than one for each chunk."""
        wire = self._wire
        if wire.complete or wire.broken:
            return
        patience = self._patience
        now = self._loop.time()
        next_by = self._next_by(now)
        if now >= patience.deadline:
            wire.stop(patience.passed_at(now, was_paused=wire.was_paused))
        elif now < next_by:
            wait_s = min(next_by, patience.deadline) - now
            self._timer = self._loop.call_later(wait_s + SLACK_S, self._watch)
        elif wire.begun:
            wire.stop(ReadTimeout())
        else:
            wire.stop(FirstByteTimeout())

    def _next_by(self, now: float) -> float:
        """When the next chunk must have come; one that we do not read has all its time."""
        wire = self._wire
        if not wire.begun:
            return self._patience.first_by
        if wire.paused:
            return now + self._patience.between_s
        return wire.last + self._patience.between_s

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    async def chunks(self) -> AsyncIterator[bytes]:
        """What has come, joined, each time something has.

        Raises: UpstreamError if it breaks off.
        """
        wire = self._wire
        while True:
            if wire.chunks:
                if len(wire.chunks) == 1:
                    chunk = wire.chunks.popleft()
                else:
                    chunk = b"".join(wire.chunks)
                    wire.chunks.clear()
                wire.took(len(chunk))
                yield chunk
                continue
            if wire.complete or (wire.broken and self._is_told):
                return
            if wire.broken:
                raise wire.broken
            await wire.wait()

    async def begun(self) -> None:
        """Until the body has begun, or has ended. Raises: UpstreamError."""
        wire = self._wire
        while not (wire.chunks or wire.complete):
            if wire.broken:
                raise wire.broken
            await wire.wait()

    def peek(self) -> bytes:
        """What has come and was not taken."""
        chunks = self._wire.chunks
        if len(chunks) == 1:
            return chunks[0]
        return b"".join(chunks)

    async def more(self) -> bool:
        """Until more has come; False at the end. Raises: UpstreamError."""
        wire = self._wire
        count = len(wire.chunks)
        while len(wire.chunks) == count:
            if wire.complete:
                return False
            if wire.broken:
                raise wire.broken
            await wire.wait()
        return True

    async def read(self) -> bytes:
        """The whole body, in a chat's words. Raises: UpstreamError."""
        parts = []
        size = 0
        async for chunk in self.chunks():
            parts.append(chunk)
            size += len(chunk)
            if size > WHOLE_MOST:
                raise AnswerTooLarge(WHOLE_MOST)
        if self._wire.broken:
            raise self._wire.broken
        if size > JOIN_HERE_BYTES:
            body = await asyncio.to_thread(b"".join, parts)  # which lets others run meanwhile
        else:
            body = b"".join(parts)
        translation = self._wire.translation
        if translation is None or (self.is_stream and self.status == OK):
            return body
        return translation.whole(self.status, body)
