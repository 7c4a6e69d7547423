r"""Escapes of JSON, URLs and HTML in a text: what they stand for, with places in the text kept.

They are written directly before a secret (`KEY:\nsk-...`, `key%3Dsk-...`), where their last letter
looks like a part of it.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from llmops_cli.guard.context import Span

BACKSLASH = "\\"
"""It, a percent sign or an ampersand begins each."""
ESCAPE = re.compile(
    r"[\\%&](?:(?<=\\)\\{0,3}(?:(?P<letter>[abfnrtv0\"'/])"
    r"|u(?P<unicode>[0-9a-fA-F]{4})|x(?P<byte>[0-9a-fA-F]{2}))"
    r"|(?<=%)(?:25)?(?P<percent>[0-9a-fA-F]{2})"
    r"|(?<=&)(?:amp;)?(?:#(?P<decimal>\d{1,6})|#[xX](?P<hex>[0-9a-fA-F]{1,5})"
    r"|(?P<name>quot|apos|amp|lt|gt|nbsp));)"
)
"""With a set of characters at its beginning, so that a text is passed over quickly."""
LONGEST = 14
"""Characters of one."""
LETTERS = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "0": "\0"}
NAMES = {"quot": '"', "apos": "'", "amp": "&", "lt": "<", "gt": ">", "nbsp": " "}
COMMON = {"\\n": "\n", '\\"': '"', "\\t": "\t", "%20": " ", "&quot;": '"'}
SURROGATES = range(0xD800, 0xE000)
REPLACEMENT = "\ufffd"


class Unescaped(NamedTuple):
    """`text`: each escape is one character.

    `places`: of those; `begins`: in the source, where each escape begins; `added`: how much longer
    than one character all up to each are.
    """

    text: str
    places: Sequence[int]
    begins: Sequence[int]
    added: Sequence[int]

    def in_source(self, place: int) -> int:
        """A place of `text`, which an end of something may be, too."""
        count = bisect_left(self.places, place)
        return place + (self.added[count - 1] if count else 0)

    def span_in_source(self, span: Span) -> Span:
        return self.in_source(span[0]), self.in_source(span[1])

    def is_within(self, source: int) -> bool:
        """Whether a place of the source is inside an escape, not at its beginning."""
        number = bisect_right(self.begins, source) - 1
        if number < 0:
            return False
        before = self.added[number - 1] if number else 0
        length = 1 + self.added[number] - before
        return 0 < source - self.begins[number] < length


def taken_by(spans: Iterable[Span], length: int) -> bytearray:
    """A text's characters, 1 where one of the spans has them."""
    taken = bytearray(length)
    for start, end in spans:
        taken[start:end] = b"\1" * (end - start)
    return taken


def has_marks(text: str) -> bool:
    """Whether there may be an escape."""
    return BACKSLASH in text or "%" in text or "&" in text


def unescaped(text: str) -> Unescaped | None:
    """None for a text without escapes."""
    if not has_marks(text):
        return None
    parts: list[str] = []
    places = []
    begins = []
    added = []
    end = 0
    more = 0
    for match in ESCAPE.finditer(text):
        begin = match.start()
        written = match[0]
        meant = COMMON.get(written) or _meant(match)
        parts += (text[end:begin], meant)
        places.append(begin - more)
        begins.append(begin)
        end = match.end()
        more += end - begin - 1
        added.append(more)
    if not begins:
        return None
    parts.append(text[end:])
    return Unescaped("".join(parts), places, begins, added)


def _meant(match: re.Match[str]) -> str:
    """One character."""
    kind = str(match.lastgroup)
    value = match[kind]
    if kind == "letter":
        return LETTERS.get(value, value)
    if kind == "name":
        return NAMES[value]
    code = int(value, 10 if kind == "decimal" else 16)
    return REPLACEMENT if code in SURROGATES else chr(code)
