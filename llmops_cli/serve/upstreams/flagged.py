"""Whether a 403 is about what was asked, and not about who asks.

Source: OpenRouter's API reference, errors: moderation tells `reasons` and `flagged_input`.
"""

from __future__ import annotations

import msgspec

from llmops_cli.core.wrong_json import UNREADABLE

FORBIDDEN = 403


class _Metadata(msgspec.Struct):
    flagged_input: str | None = None
    reasons: list[str] | None = None


class _Error(msgspec.Struct):
    metadata: _Metadata | None = None


class _Answer(msgspec.Struct):
    error: _Error | None = None


_decode = msgspec.json.Decoder(_Answer).decode


def is_flagged(status: int, body: bytes | None) -> bool:
    if status != FORBIDDEN or not body:
        return False
    try:
        error = _decode(body).error
    except UNREADABLE:
        return False
    told = error.metadata if error is not None else None
    return told is not None and (told.flagged_input is not None or told.reasons is not None)
