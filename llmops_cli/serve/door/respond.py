"""Whole answers, written to a client."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from llmops_cli.serve.door.protocol import CoalescingTransport
from llmops_cli.serve.refusal import Headers

Scope = MutableMapping[str, Any]  # Any: ASGI
Receive = Callable[[], Awaitable[Scope]]
Send = Callable[[Scope], Awaitable[None]]
JSON = b"application/json"
JOIN_BYTES = 1 << 20
"""A body that is larger is not copied to stand behind its head."""


async def respond(
    send: Send,
    status: int,
    body: bytes,
    headers: Headers,
    *,
    kind: bytes | None = JSON,
) -> None:
    """A whole answer, with its length. `kind`: None where `headers` tell the content's type."""
    told = [*headers]
    if kind is not None:
        told.append((b"content-type", kind))
    told.append((b"content-length", b"%d" % len(body)))
    if _write_at_once(send, status, body, told):
        return
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": told,
        }
    )
    await send({"type": "http.response.body", "body": body})


def _write_at_once(
    send: object,
    status: int,
    body: bytes,
    headers: Headers,
) -> bool:
    """In one go, where uvicorn's `send` would be called twice and match each header's pattern.

    False where that is not so simple: then `send` is to be used.
    """
    cycle = getattr(send, "__self__", None)
    if type(cycle) is not RequestResponseCycle or not _is_simple(cycle, status):
        return False
    head = _head(cycle, headers)
    if head is None:
        return False
    end = b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n"
    cycle.response_started = True
    cycle.response_complete = True
    cycle.waiting_for_100_continue = False
    cycle.message_event.set()
    if len(body) > JOIN_BYTES:
        _write(cycle, b"".join((STATUS_LINE[status], head, end)))
        _write(cycle, body)
    else:
        _write(cycle, b"".join((STATUS_LINE[status], head, end, body)))
    if not cycle.keep_alive:
        cycle.transport.close()
    cycle.on_response()
    return True


def _write(cycle: RequestResponseCycle, data: bytes) -> None:
    if isinstance(cycle.transport, CoalescingTransport):
        cycle.transport.write_whole(data)
    else:
        cycle.transport.write(data)


def _is_simple(cycle: RequestResponseCycle, status: int) -> bool:
    if cycle.response_started or cycle.flow.write_paused or cycle.disconnected:
        return False
    return cycle.scope["method"] != "HEAD" and status in STATUS_LINE


def _head(cycle: RequestResponseCycle, headers: Headers) -> bytes | None:
    """None for a header that would be more than one."""
    lines = [b"%b: %b\r\n" % header for header in (*cycle.default_headers, *headers)]
    head = b"".join(lines)
    if head.count(b"\n") != len(lines) or b"\0" in head:
        return None
    return head
