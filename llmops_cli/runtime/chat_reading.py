"""What a reply says: an answer, a refusal, an error inside a 200, or nothing that we know."""

from __future__ import annotations

from typing import Any

import msgspec

from llmops_cli.core.cut_characters import with_whole_characters
from llmops_cli.runtime.chat_dialects import ChatReply, Spelling
from llmops_cli.runtime.chat_errors import Retry, Unanswered, error_in
from llmops_cli.runtime.chat_request import CHARS_PER_TOKEN, ChatRequest, chars_of
from llmops_cli.runtime.refusal_fields import Filtered, require_said

PASSING_ERRORS = frozenset({"overloaded_error", "rate_limit_error", "api_error"})
"""Types of errors that are worth asking again."""
UNREADABLE = (
    msgspec.DecodeError,
    UnicodeDecodeError,
    RecursionError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
)
"""What reading a reply of another form, or a hostile one, raises."""
NO_ANSWER = "no answer in the reply"


class HeardReply(msgspec.Struct, frozen=True, kw_only=True):
    """A reply, or the refusal that it is; either way it took tokens."""

    reply: ChatReply
    refusal: Filtered | None = None

    @property
    def input_tokens(self) -> int:
        return self.reply.input_tokens

    @property
    def output_tokens(self) -> int:
        return self.reply.output_tokens


def heard(raw: bytes, spelling: Spelling, request: ChatRequest) -> HeardReply:
    """Counted by us where the server does not. Raises: Retry, Unanswered."""
    decoded = decoded_reply(raw)
    refusal = _refusal(decoded)
    try:
        reply = spelling.read(decoded)
    except UNREADABLE:
        if refusal is None:
            raise Unanswered(NO_ANSWER) from None
        reply = ChatReply(text="")
    asked_chars = chars_of(request.messages)
    counted = msgspec.structs.replace(
        reply,
        input_tokens=reply.input_tokens or asked_chars // CHARS_PER_TOKEN,
        output_tokens=reply.output_tokens or len(reply.text) // CHARS_PER_TOKEN,
    )
    return HeardReply(reply=counted, refusal=refusal)


def decoded_reply(raw: bytes) -> dict[str, Any]:  # Any: JSON
    """Raises: Retry, Unanswered for what is no reply, or is an error."""
    try:
        decoded = _decoded(raw)
    except UNREADABLE:
        raise Unanswered(NO_ANSWER) from None
    if not isinstance(decoded, dict):
        raise Unanswered(NO_ANSWER)
    if decoded.get("error"):
        error = error_in(decoded)
        if error.type in PASSING_ERRORS:
            raise Retry(error.type, detail=error.text, is_busy=True)
        raise Unanswered("error in the reply", error.text)
    return decoded


def _decoded(raw: bytes) -> object:
    """Also of servers that cut an answer inside a character."""
    try:
        return msgspec.json.decode(raw)
    except (UnicodeDecodeError, msgspec.DecodeError):  # by versions of msgspec
        return msgspec.json.decode(with_whole_characters(raw))


def _refusal(decoded: dict[str, Any]) -> Filtered | None:  # Any: JSON
    try:
        require_said(decoded)
    except Filtered as refusal:
        return refusal
    return None
