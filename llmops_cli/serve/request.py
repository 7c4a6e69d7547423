"""What the gateway reads of a request, and how it says no."""

from __future__ import annotations

import random
import time
from typing import Any

import msgspec

from llmops_cli.gateway_file.upstream import CAPABILITIES
from llmops_cli.serve.answers.usage import Usage

CHARS_PER_TOKEN = 4
HEAD_CHARS = 2048
"""Of a prompt, for prefix affinity: two or three pages of a system prompt tell one use from
another.
"""


class StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class Ask(msgspec.Struct):
    """The part of a body that the gateway reads. Other fields pass through unread."""

    model: str = ""
    messages: list[dict[str, Any]] | msgspec.UnsetType = (
        msgspec.UNSET
    )  # Any: OpenAI's content parts
    prompt: str | list[Any] | msgspec.UnsetType = msgspec.UNSET
    input: str | list[Any] | msgspec.UnsetType = msgspec.UNSET
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    max_output_tokens: int | None = None
    n: int | None = None
    tools: list[Any] | None = None
    response_format: dict[str, Any] | None = None  # Any: a JSON schema
    user: str | None = None

    def texts(self) -> list[tuple[str, str]]:
        """(role, text) of everything that somebody outside may have written."""
        if isinstance(self.messages, list):
            return _texts_of(self.messages)
        whole = self.prompt if self.prompt is not msgspec.UNSET else self.input
        if isinstance(whole, list) and whole and all(isinstance(item, dict) for item in whole):
            return _texts_of(whole)
        pieces = whole if isinstance(whole, list) else [whole]
        return [("user", piece) for piece in pieces if isinstance(piece, str)]

    def head(self) -> str:
        """Where a prompt begins: what an engine's prefix cache would find again."""
        found = []
        size = 0
        for message in self.messages if isinstance(self.messages, list) else []:
            content = message.get("content")
            text = content if isinstance(content, str) else str(content)
            found.append(text[: HEAD_CHARS - size])
            size += len(found[-1])
            if size >= HEAD_CHARS:
                break
        return "\n".join(found) if found else str(self.prompt or self.input)[:HEAD_CHARS]

    def wanted_tokens(self) -> int | None:
        """Of an answer, as asked for; None: not said."""
        return next(
            (
                n
                for n in (self.max_completion_tokens, self.max_tokens, self.max_output_tokens)
                if n is not None
            ),
            None,
        )

    def needs(self) -> set[str]:
        found: set[str] = {
            name
            for name, given in zip(
                CAPABILITIES, (False, self.tools, self.response_format), strict=True
            )
            if given
        }
        for message in self.messages if isinstance(self.messages, list) else []:
            content = message.get("content")
            if isinstance(content, list) and any(
                "image" in str(p.get("type")) for p in content if isinstance(p, dict)
            ):
                found.add("vision")
        return found


def _texts_of(
    messages: list[dict[str, Any]],
) -> list[tuple[str, str]]:  # Any: OpenAI's content parts
    found = []
    for message in messages:
        content = message.get("content") or message.get("output")
        role = str(message.get("role") or "user")
        if message.get("type") == "function_call_output":
            role = "tool"
        parts = (
            [content]
            if isinstance(content, str)
            else [part.get("text") for part in content or () if isinstance(part, dict)]
        )
        found += [(role, part) for part in parts if isinstance(part, str)]
    return [
        (role, text) for role, text in found if role not in ("system", "developer", "assistant")
    ]


class Refusal(Exception):
    """An answer of the gateway's own, in OpenAI's form."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str,
        headers: list[tuple[bytes, bytes]] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.headers = headers or []

    def body(self) -> bytes:
        kind = "server_error" if self.status >= 500 else "invalid_request_error"
        if self.status == 429:
            kind = "rate_limit_error"
        return msgspec.json.encode(
            {"error": {"message": self.message, "type": kind, "code": self.code}}
        )


def retry_after(seconds: float) -> list[tuple[bytes, bytes]]:
    return [(b"retry-after", str(max(1, int(seconds + 0.999))).encode())]


class Talk:
    """One request under way: what is decided for it, and what the log and the metrics will say."""

    __slots__ = (
        "alias",
        "answered",
        "bodies",
        "bytes_in",
        "cache",
        "cost",
        "deadline",
        "error",
        "first",
        "guard",
        "head",
        "id",
        "images",
        "ip",
        "key",
        "key_name",
        "model",
        "parent",
        "route",
        "session",
        "side",
        "start",
        "status",
        "stream",
        "trace",
        "upstream",
        "urgency",
        "usage",
    )

    def __init__(self, route: str) -> None:
        self.id = f"{random.getrandbits(64):016x}"
        self.route = route
        self.start = time.monotonic()
        self.key = ""
        self.key_name = ""
        self.ip = ""
        self.model = ""
        self.alias = ""
        self.upstream = ""
        self.side = ""
        self.status = 0
        self.first = 0.0
        self.cost = 0.0
        self.bytes_in = 0
        self.images = 0
        self.stream = False
        self.guard = ""
        self.error = ""
        self.cache = ""
        self.usage = Usage()
        self.session = ""
        self.parent = ""
        self.urgency = "interactive"
        self.deadline = 0.0
        self.answered = False
        self.trace: Any = None  # Any: an OpenTelemetry span, where that is installed
        self.bodies: Any = None  # Any: what the audit log may keep of them
        self.head: list[tuple[bytes, bytes]] = [(b"x-request-id", self.id.encode())]

    def left_s(self) -> float | None:
        """Until the client's own deadline."""
        return None if not self.deadline else self.deadline - time.monotonic()
