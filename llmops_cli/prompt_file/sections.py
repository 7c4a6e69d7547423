r"""The body of a prompt file: `system:`, `user:` and `assistant:` on lines of their own.

A body without such a line is one user message. `\user:` is a line of text.
"""

from __future__ import annotations

import re
from typing import NamedTuple

HEADING = re.compile(r"(system|user|assistant):[ \t]*")
ESCAPED_HEADING = re.compile(r"\\(system|user|assistant):[ \t]*")


class Section(NamedTuple):
    """A role, its text, and the line of the body (from 0) on which it begins."""

    role: str
    text: str
    line: int


def sections_of(body: str) -> list[Section]:
    """In their order. Text before the first heading is a user message of its own."""
    found: list[Section] = []
    role = "user"
    begins = 0
    lines: list[str] = []
    for number, line in enumerate(body.split("\n")):
        heading = HEADING.fullmatch(line)
        if heading is None:
            lines.append(_unescaped(line))
            continue
        found.append(Section(role, _text(lines), begins))
        role = heading[1]
        begins = number
        lines = []
    found.append(Section(role, _text(lines), begins))
    first, *rest = found
    if not first.text and rest:
        return rest
    return found


def _unescaped(line: str) -> str:
    if ESCAPED_HEADING.fullmatch(line):
        return line[1:]
    return line


def _text(lines: list[str]) -> str:
    """Without blank lines around it; indentation stays."""
    return "\n".join(lines).strip("\n").rstrip()
