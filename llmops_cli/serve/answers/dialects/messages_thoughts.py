"""Reasoning of upstreams as thinking blocks, and back.

A chat has no standard field for it: servers call it `reasoning_content` or `reasoning`. The
signature of a thinking block of ours names the field, so that the upstream gets it back there.
"""

from __future__ import annotations

FIELDS = ("reasoning_content", "reasoning")
_SIGNED = "llmops:"


def signature(field: str) -> str:
    return _SIGNED + field


def field_of(signed: str | None) -> str | None:
    """None of a block that somebody else signed."""
    for field in FIELDS:
        if signed == signature(field):
            return field
    return None
