"""Windows of a text, at its paragraphs and sentences: what the second stage judges at a time."""

from __future__ import annotations

import re

import msgspec

WINDOW_CHARS = 1_200
BREAK = re.compile(r"\n\s*\n|(?<=[.!?\u3002\uff01\uff1f])\s+|\n")
"""Where a window may end: after a paragraph, a sentence or a line."""


class Window(msgspec.Struct, frozen=True):
    """A part of a text, and where it stands in it (characters)."""

    text: str
    span: tuple[int, int]


def windows_of(text: str) -> list[Window]:
    """All of the text, each part once, in parts of at most WINDOW_CHARS characters."""
    found = []
    start = 0
    while start < len(text):
        end = _end_of(text, start)
        found.append(Window(text[start:end], (start, end)))
        start = end
    return found


def _end_of(text: str, start: int) -> int:
    """The last break within a window, or its whole length where there is none."""
    most = start + WINDOW_CHARS
    if most >= len(text):
        return len(text)
    last = most
    for match in BREAK.finditer(text, start + WINDOW_CHARS // 2, most):
        last = match.end()
    return last
