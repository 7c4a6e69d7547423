"""Numbers of things in words."""

from __future__ import annotations


def counted(count: float, one: str, many: str = "") -> str:
    """`1 key`, `1,234 keys`; `many`: a plural that is not made by an s."""
    word = one if count == 1 else many or f"{one}s"
    return f"{count:,.0f} {word}"
