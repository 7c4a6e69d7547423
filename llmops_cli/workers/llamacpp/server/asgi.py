"""Bodies, answers and hang-ups over raw ASGI."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec

from llamacpp.server.errors import ApiError, Disconnected, Headers

# Any: ASGI says what each key of its messages holds, and no two keys hold the same.
Scope = dict[str, Any]
AsgiMessage = dict[str, Any]
Receive = Callable[[], Awaitable[AsgiMessage]]
Send = Callable[[AsgiMessage], Awaitable[None]]

JsonObject = dict[str, object]

MAX_BODY_BYTES = 32 << 20
MAX_HEAD_BYTES = 64 << 10
MOST_LENGTH_DIGITS = 20
READ_AT_ONCE_BYTES = 4 << 10
"""Some milliseconds to parse and tokenize."""

Result = TypeVar("Result")


def check_head(scope: Scope) -> None:
    """Raises: ApiError for one that no body needs to be read of."""
    headers = scope.get("headers", ())
    if sum(len(name) + len(value) for name, value in headers) > MAX_HEAD_BYTES:
        message = f"the headers are over {MAX_HEAD_BYTES >> 10} KiB"
        raise ApiError(431, "invalid_request_error", message)
    for name, value in headers:
        if name == b"content-length" and int(value[:MOST_LENGTH_DIGITS]) > MAX_BODY_BYTES:
            raise too_large()


def too_large() -> ApiError:
    limit = f"the body is over {MAX_BODY_BYTES >> 20} MiB"
    return ApiError(413, "invalid_request_error", limit)


async def read_body(receive: Receive) -> bytes:
    """Raises: Disconnected, ApiError if it is too large."""
    parts: list[bytes] = []
    size_bytes = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        part = message.get("body", b"")
        parts.append(part)
        size_bytes += len(part)
        if size_bytes > MAX_BODY_BYTES:
            raise too_large()
        if not message.get("more_body"):
            return b"".join(parts)


async def apart(body: bytes, work: Callable[[], Result]) -> Result:
    """What is made of a body, in a thread if it is long: it would take seconds of all others."""
    if len(body) <= READ_AT_ONCE_BYTES:
        return work()
    return await asyncio.to_thread(work)


async def disconnected(receive: Receive) -> None:
    """Returns when the client has gone."""
    message = await receive()
    while message["type"] != "http.disconnect":
        message = await receive()


async def respond(
    send: Send,
    status: int,
    body: bytes,
    *,
    content_type: bytes = b"application/json",
    headers: Headers | None = None,
) -> None:
    length = str(len(body)).encode()
    all_headers = [(b"content-type", content_type), (b"content-length", length)]
    all_headers += headers or []
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": all_headers,
        }
    )
    await send({"type": "http.response.body", "body": body})


async def respond_json(
    send: Send,
    body: JsonObject,
    *,
    status: int = 200,
    headers: Headers | None = None,
) -> None:
    raw = msgspec.json.encode(body)
    await respond(send, status, raw, headers=headers)


async def start_stream(send: Send) -> None:
    headers = [
        (b"content-type", b"text/event-stream; charset=utf-8"),
        (b"cache-control", b"no-cache"),
    ]
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": headers,
        }
    )


async def send_part(
    send: Send,
    body: bytes,
    *,
    is_last: bool,
) -> None:
    await send(
        {
            "type": "http.response.body",
            "body": body,
            "more_body": not is_last,
        }
    )
