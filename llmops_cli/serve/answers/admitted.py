"""A request that was let in, and the way back to its client."""

from __future__ import annotations

import time

from llmops_cli.serve.answers.dialects.dialect import Dialect
from llmops_cli.serve.context import RequestContext
from llmops_cli.serve.door.respond import Send, respond
from llmops_cli.serve.refusal import Headers
from llmops_cli.serve.snapshot import Snapshot

EVENT_STREAM = (b"content-type", b"text/event-stream; charset=utf-8")
UNHELD: Headers = [(b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")]
"""What keeps caches and proxies, nginx among them, from holding a stream back."""


class AdmittedRequest:
    """`target`: the upstream's endpoint, `dialect`: the client's way of speaking."""

    __slots__ = (
        "asked",
        "context",
        "decided",
        "dialect",
        "observed",
        "send",
        "snapshot",
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

    def elapsed_s(self) -> float:
        return time.monotonic() - self.asked.start

    async def answer_whole(
        self,
        status: int,
        body: bytes,
        headers: Headers,
        *,
        kind: bytes | None = None,
    ) -> None:
        """`body` in OpenAI's form. `kind`: None where `headers` tell the content's type."""
        seen_status, shown = self.dialect.whole(body, status=status)
        await respond(self.send, seen_status, shown, [*self.decided.headers, *headers], kind=kind)

    async def begin_stream(self, status: int, headers: Headers) -> None:
        shown = [*self.decided.headers, *headers, *UNHELD]
        await self.send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": shown,
            }
        )

    async def end_stream(self, rest: bytes) -> None:
        """`rest`: as the client is to see it."""
        await self.send({"type": "http.response.body", "body": rest})
