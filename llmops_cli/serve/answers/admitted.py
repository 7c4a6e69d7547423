"""A request that was let in, and the way back to its client."""

from __future__ import annotations

import time
from collections.abc import Awaitable
from typing import TYPE_CHECKING

from llmops_cli.serve.answers.dialects.dialect import Dialect
from llmops_cli.serve.answers.late_events import answer_events, failure_events
from llmops_cli.serve.context import RequestContext
from llmops_cli.serve.door.respond import JSON, Send, respond
from llmops_cli.serve.refusal import Headers, Refusal
from llmops_cli.serve.snapshot import Snapshot

if TYPE_CHECKING:
    from llmops_cli.guard.check import Guard

EVENT_STREAM = (b"content-type", b"text/event-stream; charset=utf-8")
UNHELD: Headers = [(b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")]
"""What keeps caches and proxies, nginx among them, from holding a stream back."""


class AdmittedRequest:
    """`target`: the upstream's endpoint, `dialect`: the client's way of speaking.

    Of a stream: `has_begun` when its status was told, `said` is the last piece of it and `spoke_at`
    when that was sent, on the monotonic clock.
    """

    __slots__ = (
        "asked",
        "context",
        "decided",
        "dialect",
        "has_begun",
        "has_ended",
        "observed",
        "said",
        "send",
        "snapshot",
        "spoke_at",
        "target",
    )

    def __init__(
        self,
        snapshot: Snapshot,
        context: RequestContext,
        dialect: Dialect,
        send: Send,
    ) -> None:
        self.snapshot = snapshot
        self.context = context
        self.asked = context.asked
        self.decided = context.decided
        self.observed = context.observed
        self.target = context.asked.endpoint.target
        self.dialect = dialect
        self.send = send
        self.has_begun = False
        self.has_ended = False
        self.said = b""
        self.spoke_at = context.asked.start

    @property
    def streams(self) -> bool:
        """Whether the answer is to come as events."""
        return self.asked.streams and self.asked.endpoint.streams

    @property
    def guard(self) -> Guard | None:
        """Who judges its texts, and sees no more of them than upstreams may."""
        return self.snapshot.guard_for(self.decided.destinations)

    def elapsed_s(self) -> float:
        return time.monotonic() - self.asked.start

    async def answer_whole(
        self,
        status: int,
        body: bytes,
        headers: Headers,
        *,
        kind: bytes | None = None,
    ) -> int:
        """The status that the client sees: 502 for a body that its dialect has no form for.

        `body` in OpenAI's form. `kind`: None where `headers` tell the content's type.
        """
        if self.has_begun:
            await self.end_stream(self._events(status, body))
            return status
        self.has_ended = True
        seen_status, shown = self.dialect.whole(body, status=status)
        if not self.dialect.is_plain:
            headers = [header for header in headers if header[0] != b"content-type"]
            kind = JSON
        self.observed.status = seen_status
        await respond(self.send, seen_status, shown, [*self.decided.headers, *headers], kind=kind)
        return seen_status

    def _events(self, status: int, body: bytes) -> bytes:
        """The same, where the client was told already that a stream comes."""
        if status != 200:
            return failure_events(self.dialect, self.target, body)
        usage = self.asked.body.wants_usage or self.dialect.wants_usage
        return answer_events(self.dialect, self.target, body, usage=usage)

    async def begin_stream(self, status: int, headers: Headers) -> None:
        """Nothing if it has begun: a status is told once."""
        if self.has_begun:
            return
        self.has_begun = True
        shown = [*self.decided.headers, *headers, *UNHELD]
        await self.send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": shown,
            }
        )

    def say(self, piece: bytes) -> Awaitable[None]:
        """A piece of a stream, as the client is to see it."""
        self.said = piece
        self.spoke_at = time.monotonic()
        return self.send(
            {
                "type": "http.response.body",
                "body": piece,
                "more_body": True,
            }
        )

    async def end_stream(self, rest: bytes) -> None:
        """`rest`: as the client is to see it."""
        self.has_ended = True
        await self.send({"type": "http.response.body", "body": rest})

    async def end_refused(self, refusal: Refusal) -> None:
        """The gateway's own no, as the last event of a stream that has begun."""
        await self.end_stream(failure_events(self.dialect, self.target, refusal.body()))
