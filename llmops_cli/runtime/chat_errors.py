"""Why a request has no answer: a kind to count by, and what the server said of it."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

NOT_REACHED = "no connection"
LOST = "connection lost"
GONE = frozenset({NOT_REACHED, LOST})
"""The kinds of requests that found no server, or were left by it."""
MOST_DETAIL = 300
"""Characters of what a server says of an error that are kept."""


class Unanswered(Exception):
    """A request that gave no answer. `kind` is what reports count: `timeout`, `http 500`, ..."""

    def __init__(self, kind: str, detail: str = "") -> None:
        super().__init__(kind)
        self.kind = kind
        self.detail = detail


class Cost(StrEnum):
    """What a request without an answer may have taken of a budget."""

    NOTHING = "nothing"
    UNKNOWN = "unknown"


class Retry(Exception):
    """A request worth asking again, after so many seconds if the server said how many.

    `is_busy`: the server has too much to do, so that others should wait too.
    """

    def __init__(
        self,
        kind: str,
        *,
        after_s: float | None = None,
        detail: str = "",
        cost: Cost = Cost.NOTHING,
        is_busy: bool = False,
    ) -> None:
        super().__init__(kind)
        self.kind = kind
        self.after_s = after_s
        self.detail = detail
        self.cost = cost
        self.is_busy = is_busy


class ServerError(msgspec.Struct, frozen=True):
    """What the body of an error says: a type and a code to decide by, and words."""

    type: str = ""
    code: str = ""
    text: str = ""


def server_error(raw: bytes) -> ServerError:
    """Of any of the forms that servers have."""
    try:
        body = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ServerError(text=raw[:MOST_DETAIL].decode(errors="replace"))
    return error_in(body)


def error_in(body: Any) -> ServerError:  # Any: JSON
    """Of a body that was read already."""
    if isinstance(body, list) and body:  # as Gemini wraps them
        body = body[0]
    if not isinstance(body, dict):
        return ServerError(text=str(body)[:MOST_DETAIL])
    error = body.get("error") or body.get("detail") or body
    if not isinstance(error, dict):
        return ServerError(text=str(error)[:MOST_DETAIL])
    text = error.get("message") or msgspec.json.encode(error).decode()
    return ServerError(
        type=str(error.get("type") or ""),
        code=str(error.get("code") or ""),
        text=str(text)[:MOST_DETAIL],
    )
