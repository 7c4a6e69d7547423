"""Anthropic's Messages, translated there and back.

Source: Anthropic's Messages API (version 2023-06-01). `thinking` and `cache_control` have no
counterpart and are left out; what would change the answer's meaning (documents, server tools) is
refused.
"""

from __future__ import annotations

import secrets

from llmops_cli.serve.answers.dialects.messages_answer import error_body, message_of
from llmops_cli.serve.answers.dialects.messages_request import chat_of
from llmops_cli.serve.answers.dialects.messages_stream import MessagesStream
from llmops_cli.serve.answers.dialects.sse import named_event
from llmops_cli.serve.refusal import Headers, Refusal

PING = named_event("ping", {"type": "ping"})


class Messages:
    """Anthropic's dialect, of one request."""

    is_plain = False
    wants_usage = True

    def __init__(self) -> None:
        self.model = ""
        self._id = f"msg_{secrets.token_hex(12)}"
        self._stream: MessagesStream | None = None

    def named(self, request_id: str) -> Headers:
        return [(b"request-id", request_id.encode())]

    def hear(self, headers: Headers) -> None:
        del headers

    def request(self, body: bytes) -> bytes:
        return chat_of(body)

    def told(self) -> Headers:
        return []

    def whole(self, body: bytes, *, status: int = 200) -> tuple[int, bytes]:
        return message_of(body, status=status, message_id=self._id, model=self.model)

    def feed(self, events: bytes) -> bytes:
        return self._begun().feed(events)

    def finish(self) -> bytes:
        return self._begun().finish()

    def ping(self) -> bytes:
        return PING

    def refusal(self, refusal: Refusal, request_id: str) -> bytes:
        return error_body(refusal.status, refusal.message, request_id=request_id)

    def _begun(self) -> MessagesStream:
        if self._stream is None:
            self._stream = MessagesStream(self._id, self.model)
        return self._stream
