"""A request in Anthropic's form as the chat completion that it means."""

from __future__ import annotations

from typing import Any

import msgspec

from llmops_cli.serve.answers.dialects.messages_rules import (
    REQUEST,
    RawFields,
    kept,
    missing,
    typed,
)
from llmops_cli.serve.answers.dialects.messages_settings import (
    Thinking,
    integer,
    metadata_of,
    output_config_of,
    response_format_of,
    thinking_of,
    tool_choice_of,
    tools_of,
)
from llmops_cli.serve.answers.dialects.messages_turns import chat_messages
from llmops_cli.serve.answers.dialects.unsent import Unsent

Json = dict[str, Any]  # Any: OpenAI's fields
NUMBERS = ("temperature", "top_p")
_decode = msgspec.json.Decoder(RawFields).decode


class MessagesRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a request means. `chat`: a chat completion's body.

    `unsent`: names of what is not in it. `only_warms`: its answer is shown to nobody.
    """

    chat: bytes
    unsent: bytes
    stop_sequences: tuple[str, ...] = ()
    shows_thoughts: bool = True
    only_warms: bool = False


def translate(body: bytes, *, must_be_bounded: bool = True) -> MessagesRequest:
    """`must_be_bounded`: max_tokens is needed.

    Raises: msgspec.DecodeError; Refusal for what has no counterpart.
    """
    unsent = Unsent()
    fields = kept(_decode(body), REQUEST, unsent=unsent)
    for name in ("model", "max_tokens", "messages"):
        if name not in fields and (must_be_bounded or name != "max_tokens"):
            raise missing(name)
    chat: Json = {
        "model": typed(fields["model"], str, "model"),
        "messages": chat_messages(fields["messages"], fields.get("system"), unsent),
    }
    only_warms = False
    if "max_tokens" in fields:
        most = integer(fields["max_tokens"], "max_tokens")
        only_warms = most == 0
        chat["max_tokens"] = most or 1
    stops = _stop_sequences(fields)
    if stops:
        chat["stop"] = stops
    chat |= _numbers(fields)
    chat |= _tools(fields, unsent)
    thinking = _thinking(fields, unsent)
    if thinking.effort is not None:
        chat["reasoning_effort"] = thinking.effort
    chat |= _answer_form(fields, unsent)
    return MessagesRequest(
        chat=msgspec.json.encode(chat),
        unsent=unsent.header(),
        stop_sequences=tuple(stops),
        shows_thoughts=thinking.is_shown,
        only_warms=only_warms,
    )


def _stop_sequences(fields: RawFields) -> list[str]:
    if "stop_sequences" not in fields:
        return []
    return typed(fields["stop_sequences"], list[str], "stop_sequences")


def _numbers(fields: RawFields) -> Json:
    found: Json = {}
    for name in NUMBERS:
        if name in fields:
            typed(fields[name], float, name)
            found[name] = fields[name]
    if "top_k" in fields:
        found["top_k"] = integer(fields["top_k"], "top_k")
    if "stream" in fields:
        found["stream"] = typed(fields["stream"], bool, "stream")
    return found


def _tools(fields: RawFields, unsent: Unsent) -> Json:
    tools = tools_of(fields["tools"], unsent) if "tools" in fields else []
    found: Json = {"tools": tools} if tools else {}
    if "tool_choice" in fields:
        found |= tool_choice_of(fields["tool_choice"], tools, unsent)
    return found


def _thinking(fields: RawFields, unsent: Unsent) -> Thinking:
    if "thinking" not in fields:
        return Thinking()
    return thinking_of(fields["thinking"], unsent)


def _answer_form(fields: RawFields, unsent: Unsent) -> Json:
    """What is said of the answer: its form, effort, and whom it is for."""
    found: Json = {}
    if "metadata" in fields:
        found |= metadata_of(fields["metadata"], unsent)
    if "output_format" in fields:
        found |= response_format_of(fields["output_format"], "output_format", unsent)
    if "output_config" in fields:
        found |= output_config_of(fields["output_config"], unsent)
    return found
