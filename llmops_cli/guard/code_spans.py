"""Code in Markdown: it is shown as it is, so nothing in it is loaded or followed."""

from __future__ import annotations

import re

FENCE = re.compile(r"(?m)^([ \t]{0,12})(`{3,200}|~{3,200})([^\n]{0,200})$")
INLINE = re.compile(r"(?<!`)(`{1,3})(?!`)[^`\n]{1,2000}(?<!`)\1(?!`)")


def without_code(text: str) -> str:
    """The text with spaces for code: places stay as they are."""
    if "```" in text or "~~~" in text:
        text = _without_fences(text)
    if "`" in text:
        text = INLINE.sub(_blank, text)
    return text


def _blank(found: re.Match[str]) -> str:
    return " " * len(found[0])


class Fences:
    """Tells line by line what stands between fences.

    A fence that is written within a list ends with it: at the first line that stands further out.
    """

    def __init__(self) -> None:
        self.opened = ""
        """The line that opened the fence which is open."""
        self._fence = ""
        self._indent = 0

    def is_code(self, line: str) -> bool:
        """Whether the next line is code, or a fence itself."""
        mark = FENCE.match(line)
        if self._fence and line.strip() and _depth(line) < self._indent:
            self._close()
        if self._fence:
            if mark is not None and mark[2].startswith(self._fence) and not mark[3].strip():
                self._close()
            return True
        if mark is None or _is_inline(mark):
            return False
        self.opened = line
        self._fence = mark[2]
        self._indent = _depth(line)
        return True

    def _close(self) -> None:
        self.opened = ""
        self._fence = ""


def open_fence(text: str) -> str:
    """The line whose fence is open where the text ends; empty if none is."""
    fences = Fences()
    for line in text.split("\n"):
        fences.is_code(line)
    return fences.opened


def _without_fences(text: str) -> str:
    fences = Fences()
    lines = text.split("\n")
    return "\n".join(" " * len(line) if fences.is_code(line) else line for line in lines)


def _depth(line: str) -> int:
    return len(line) - len(line.lstrip(" \t"))


def _is_inline(mark: re.Match[str]) -> bool:
    """Backticks with more of them behind are no fence."""
    return mark[2][0] == "`" and "`" in mark[3]
