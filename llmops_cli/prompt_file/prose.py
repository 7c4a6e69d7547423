"""Which lines of a text are prose: of code no blank may go, and no line.

Code is what stands between fences (of any indentation, as CommonMark ends them), in HTML's
preformatted elements, or behind four blanks or a tab; in doubt a line is code.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import NamedTuple

FENCE = re.compile(r"\s*(?P<fence>`{3,}|~{3,})(?P<info>.*)")
INDENTED = re.compile(r" {4,}\S| {0,3}\t\s*\S")
PREFORMATTED = ("pre", "code", "script", "style", "textarea")
OPENING_TAG = re.compile(rf"<({'|'.join(PREFORMATTED)})\b", re.IGNORECASE)
HAS_CODE = re.compile(r"""[`"'{}=;<>|\\$#\t]""")
"""Signs of code that nobody fenced, or of text whose blanks may count."""
BLANKS = re.compile(r"(?<=\S) {2,}(?=\S)")


class LineKind(StrEnum):
    """BLANK: an empty line of prose."""

    PROSE = "prose"
    BLANK = "blank"
    CODE = "code"


class Line(NamedTuple):
    kind: LineKind
    text: str


EMPTY = Line(LineKind.BLANK, "")


class _Fence:
    """What has been opened and not closed, and how a line would close it."""

    def __init__(self) -> None:
        self._fence = ""
        self._tag = ""

    @property
    def is_open(self) -> bool:
        return bool(self._fence or self._tag)

    def holds(self, line: str) -> bool:
        """Whether a line is code, or begins or ends some."""
        if self._fence:
            self._close_fence(line)
            return True
        if self._tag:
            self._close_tag(line, 0)
            return True
        return self._opens(line)

    def _opens(self, line: str) -> bool:
        found = FENCE.fullmatch(line)
        if found is not None and not (found["fence"][0] == "`" and "`" in found["info"]):
            self._fence = found["fence"]
            return True
        tag = OPENING_TAG.search(line)
        if tag is None:
            return False
        self._tag = tag[1].lower()
        self._close_tag(line, tag.end())
        return True

    def _close_fence(self, line: str) -> None:
        found = FENCE.fullmatch(line)
        if (
            found is not None
            and found["fence"].startswith(self._fence)
            and not found["info"].strip()
        ):
            self._fence = ""

    def _close_tag(self, line: str, start: int) -> None:
        if f"</{self._tag}" in line[start:].lower():
            self._tag = ""


def lines_of(text: str) -> list[Line]:
    """Empty lines between lines of code that is only indented are code, too."""
    fence = _Fence()
    found: list[Line] = []
    for line in text.split("\n"):
        if not line and not fence.is_open:  # a text may be nothing else
            found.append(EMPTY)
        elif fence.holds(line):
            found.append(Line(LineKind.CODE, line))
        elif not line.strip():
            found.append(Line(LineKind.BLANK, line))
        elif INDENTED.match(line):
            _join_to_code(found)
            found.append(Line(LineKind.CODE, line))
        else:
            found.append(Line(LineKind.PROSE, line))
    return found


def _join_to_code(lines: list[Line]) -> None:
    first = len(lines)
    while first and lines[first - 1].kind is LineKind.BLANK:
        first -= 1
    if first and lines[first - 1].kind is LineKind.CODE:
        lines[first:] = [Line(LineKind.CODE, line.text) for line in lines[first:]]


def without_blanks(text: str) -> str:
    """Blanks within and behind lines of prose, and all but one empty line, go.

    Indentation stays: it may be a list's.
    """
    kept: list[str] = []
    was_blank = False
    for kind, line in lines_of(text):
        if kind is LineKind.BLANK and was_blank:
            continue
        was_blank = kind is LineKind.BLANK
        kept.append(line if kind is LineKind.CODE else _squeezed(line))
    return "\n".join(kept)


def _squeezed(line: str) -> str:
    line = line.rstrip()
    if HAS_CODE.search(line):
        return line
    return BLANKS.sub(" ", line)


class Paragraph(NamedTuple):
    """Lines from `first` up to `end` of a text. `words`: without regard to blanks."""

    first: int
    end: int
    words: str


def paragraphs_of(lines: list[Line]) -> list[Paragraph]:
    """Those of prose, one after the other."""
    found: list[Paragraph] = []
    first = None
    for number, line in enumerate([*lines, Line(LineKind.BLANK, "")]):
        if line.kind is LineKind.PROSE:
            first = number if first is None else first
        elif first is not None:
            words = " ".join(" ".join(each.text for each in lines[first:number]).split())
            found.append(Paragraph(first, number, words))
            first = None
    return found
