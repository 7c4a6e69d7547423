"""A compressed chat in the place of the one that was asked; the client is told what is missing."""

from __future__ import annotations

import msgspec

from llmops_cli.prompt_file.compression import Compressed
from llmops_cli.serve.answers.admitted import AdmittedRequest
from llmops_cli.serve.judging.work import CompressedChat

HEADER = b"x-llmops-compressed"


def send_compressed(request: AdmittedRequest, found: CompressedChat) -> None:
    """Everything from here on sees it alone: limits, guard, cache, upstreams."""
    asked = request.asked
    decided = request.decided
    messages = found.chat.messages
    raw = msgspec.Raw(msgspec.json.encode(messages))
    asked.values = {**asked.values, "messages": messages}
    asked.fields = {**asked.fields, "messages": raw}
    asked.body = msgspec.structs.replace(asked.body, messages=messages)
    asked.was_read = found.reading
    decided.fields = {**decided.fields, "messages": raw}
    decided.saved_tokens = found.chat.saved_tokens
    decided.headers.append((HEADER, _told(found.chat).encode()))


def _told(chat: Compressed) -> str:
    """`tokens 5200 -> 3100, turns 4, paragraphs 2`: estimated, and what was left out."""
    told = [f"tokens {chat.tokens_before} -> {chat.tokens_after}"]
    if chat.dropped_turns:
        told.append(f"turns {chat.dropped_turns}")
    if chat.repeated_paragraphs:
        told.append(f"paragraphs {chat.repeated_paragraphs}")
    return ", ".join(told)
