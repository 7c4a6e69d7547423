"""What a client's way of speaking must be able to do. OpenAI's is ours."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

import msgspec

from llmops_cli.serve.answers.dialects.chat_request import chat_of
from llmops_cli.serve.answers.dialects.choices import ChoiceFormat, spelt
from llmops_cli.serve.answers.dialects.unsent import headers_of
from llmops_cli.serve.refusal import Headers, Refusal


class Dialect(Protocol):
    """Of one request: it may remember what it has told.

    `is_plain`: bytes pass as they are, so that nobody need be asked about each.
    `wants_usage`: a stream must tell its tokens, whether the client asked for that or not.
    `model`: as the client named it.
    """

    is_plain: bool
    wants_usage: bool
    model: str

    def named(self, request_id: str) -> Headers:
        """How every answer names its request, beside `x-request-id`."""

    def hear(self, headers: Headers) -> None:
        """What the client says beside its body. Raises: Refusal."""

    def request(self, body: bytes) -> bytes:
        """The body in OpenAI's form. Raises: msgspec.DecodeError; Refusal."""

    def told(self) -> Headers:
        """What of the request is not sent on, for the answer's head."""

    def whole(self, body: bytes, *, status: int = 200) -> tuple[int, bytes]:
        """A whole answer or an upstream's error: its status and body, as the client sees it."""

    def spell(
        self,
        body: bytes,
        form: ChoiceFormat,
        *,
        usage: bool,
    ) -> Iterable[bytes]:
        """A whole answer as a stream of events. Raises: one of OddAnswer; UpstreamError."""

    def feed(self, events: bytes) -> bytes:
        """What a piece of a stream means. Raises: UpstreamError for what means nothing."""

    def finish(self) -> bytes:
        """What is said at a stream's end."""

    def ping(self) -> bytes:
        """An event that says nothing, and keeps a connection open."""

    def refusal(self, refusal: Refusal, request_id: str) -> bytes:
        """The gateway's own no."""


Reads = Callable[[bytes], tuple[bytes, bytes]]
"""A body as it is sent on, and the names of what is not."""


class OpenAI:
    """Bytes as they are. `reads`: how a request is put into its form, where it has several."""

    is_plain = True
    wants_usage = False
    model = ""

    def __init__(self, *, reads: Reads | None = None) -> None:
        self._reads = reads
        self._unsent = b""

    def named(self, request_id: str) -> Headers:
        del request_id
        return []

    def hear(self, headers: Headers) -> None:
        del headers

    def request(self, body: bytes) -> bytes:
        if self._reads is not None:
            body, self._unsent = self._reads(body)
        return body

    def told(self) -> Headers:
        return headers_of(self._unsent)

    def whole(self, body: bytes, *, status: int = 200) -> tuple[int, bytes]:
        return status, body

    def spell(
        self,
        body: bytes,
        form: ChoiceFormat,
        *,
        usage: bool,
    ) -> Iterable[bytes]:
        return spelt(msgspec.json.decode(body), form, usage=usage)

    def feed(self, events: bytes) -> bytes:
        return events

    def finish(self) -> bytes:
        return b""

    def ping(self) -> bytes:
        return b": keep-alive\n\n"

    def refusal(self, refusal: Refusal, request_id: str) -> bytes:
        del request_id
        return refusal.body()


def chat_dialect() -> OpenAI:
    """A chat's, whose body may have the form of Responses."""
    return OpenAI(reads=chat_of)
