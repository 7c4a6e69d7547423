"""Tokens as an upstream tells them, in OpenAI's two ways."""

from __future__ import annotations

import msgspec

from llmops_cli.serve.context import Usage


class _Counts(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None


class _Response(msgspec.Struct):
    usage: _Counts | None = None


class _Answer(msgspec.Struct):
    usage: _Counts | None = None
    response: _Response | None = None


_decode = msgspec.json.Decoder(_Answer).decode


def usage_in(raw: bytes) -> Usage | None:
    """Of an answer, or an event; None if it tells nothing."""
    try:
        found = _decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    counts = found.usage
    if counts is None and found.response is not None:
        counts = found.response.usage
    if counts is None:
        return None
    return Usage(
        counts.prompt_tokens or counts.input_tokens or 0,
        counts.completion_tokens or counts.output_tokens or 0,
    )
