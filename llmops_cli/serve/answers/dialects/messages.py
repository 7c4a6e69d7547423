"""Anthropic's Messages, translated there and back.

Source: Anthropic's Messages API (version 2023-06-01 and after). What becomes of each field
and block stands in messages_rules.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable

from llmops_cli.serve.answers.dialects.choices import ChoiceFormat
from llmops_cli.serve.answers.dialects.messages_answer import Shown, error_body, message_of
from llmops_cli.serve.answers.dialects.messages_request import MessagesRequest, translate
from llmops_cli.serve.answers.dialects.messages_stream import (
    PING,
    MessagesStream,
    whole_as_event,
)
from llmops_cli.serve.answers.dialects.unsent import headers_of
from llmops_cli.serve.refusal import Headers, Refusal

OTHER_FORM = b"2023-01-01"
"""The first version, whose streams had another form; 2023-06-01 and after have this one."""
NOTHING_ASKED = MessagesRequest(chat=b"", unsent=b"")


class Messages:
    """Anthropic's dialect, of one request."""

    is_plain = False
    wants_usage = True

    def __init__(self, *, must_be_bounded: bool = True) -> None:
        """`must_be_bounded`: a request needs max_tokens."""
        self.model = ""
        self._must_be_bounded = must_be_bounded
        self._id = f"msg_{secrets.token_hex(12)}"
        self._asked = NOTHING_ASKED
        self._betas = False
        self._stream: MessagesStream | None = None

    def named(self, request_id: str) -> Headers:
        return [(b"request-id", request_id.encode())]

    def hear(self, headers: Headers) -> None:
        for name, value in headers:
            if name == b"anthropic-version" and value == OTHER_FORM:
                said = (
                    "anthropic-version: 2023-01-01 has another form; 2023-06-01 and after are taken"
                )
                raise Refusal(400, said, code="invalid_header")
            if name == b"anthropic-beta" and value:
                self._betas = True

    def request(self, body: bytes) -> bytes:
        self._asked = translate(body, must_be_bounded=self._must_be_bounded)
        return self._asked.chat

    def told(self) -> Headers:
        return headers_of(self._asked.unsent, b"anthropic-beta" if self._betas else b"")

    def whole(self, body: bytes, *, status: int = 200) -> tuple[int, bytes]:
        return message_of(body, status=status, shown=self._shown())

    def spell(
        self,
        body: bytes,
        form: ChoiceFormat,
        *,
        usage: bool,
    ) -> Iterable[bytes]:
        del form, usage
        yield self.feed(whole_as_event(body))
        yield self.finish()

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
            self._stream = MessagesStream(self._shown())
        return self._stream

    def _shown(self) -> Shown:
        return Shown(
            message_id=self._id,
            model=self.model,
            stop_sequences=self._asked.stop_sequences,
            thoughts=self._asked.shows_thoughts,
            nothing=self._asked.only_warms,
        )


def messages_to_count() -> Messages:
    """Of a request whose prompt is counted, and not answered."""
    return Messages(must_be_bounded=False)
