"""What stands before a candidate: words that make a number mean something, or nothing.

Checks look back at most LOOKBACK characters, so that a stream can be redacted piece by piece with
the same result.
"""

from __future__ import annotations

import re
from collections.abc import Callable

LOOKBACK = 48

Span = tuple[int, int]
Match = re.Match[str]
Check = Callable[[Match], Span | None]
"""Which part of a candidate is personal or secret; None if it is neither."""


def before(found: Match) -> str:
    """The words before it, in lower case."""
    return found.string[max(0, found.start() - LOOKBACK) : found.start()].lower()


def follows(words: str) -> Callable[[Match], bool]:
    """Whether one of the words (a pattern) stands shortly before a candidate."""
    pattern = re.compile(rf"(?:{words})[^\n]{{0,24}}$")

    def check(found: Match) -> bool:
        return bool(pattern.search(before(found)))

    return check


def whole(found: Match) -> Span | None:
    """The pattern's last group, or all of it."""
    return found.span(found.lastindex or 0)


def after(words: str, form: str = r"(?s).*") -> Check:
    """All of it, if it stands after one of the words and has that form."""
    is_named = follows(words)
    pattern = re.compile(form)

    def check(found: Match) -> Span | None:
        if is_named(found) and pattern.fullmatch(found[0]):
            return found.span()
        return None

    return check
