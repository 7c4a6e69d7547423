"""Whether a text that comes in pieces can still become one JSON object.

A stream of a tool's input is passed on as it comes; what has been said cannot be taken back, so
each piece is looked at first.
"""

from __future__ import annotations

import re

import msgspec

_SPACE = " \t\n\r"
_PLAIN = re.compile(r'[^"\\\x00-\x1f]+')
_SCALAR = re.compile(r"[-+.0-9A-Za-z]+")
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?")
_NUMBER_BEGUN = re.compile(r"-?(?:(?:0|[1-9]\d*)(?:\.\d*(?:(?<=\d)[eE][+-]?\d*)?|[eE][+-]?\d*)?)?")
_WORDS = ("true", "false", "null")
_ESCAPES = '"\\/bfnrt'
_HEX = "0123456789abcdefABCDEF"
_FIRST_HALVES = range(0xD800, 0xDC00)
_SECOND_HALVES = range(0xDC00, 0xE000)
LONG_CHARS = 256
SCALAR_MOST = 64
"""Of a number's characters."""


class ObjectPrefix:
    """`is_whole`: the object is complete. `is_broken`: it can never be."""

    def __init__(self) -> None:
        self.is_whole = False
        self.is_broken = False
        self._open: list[str] = []
        self._awaits = "object"
        self._escape = ""
        self._scalar = ""
        self._is_half = False

    def feed(self, text: str) -> bool:
        """False if this cannot go on."""
        if self._is_all(text):
            return True
        at = 0
        while at < len(text) and not self.is_broken:
            at = self._step(text, at)
        return not self.is_broken

    def _is_all(self, text: str) -> bool:
        """Whether this is the first piece, and all of a long object: that is seen faster."""
        if self._awaits != "object" or len(text) < LONG_CHARS:
            return False
        try:
            self.is_whole = isinstance(msgspec.json.decode(text), dict)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return False
        if self.is_whole:
            self._awaits = "nothing"
        return self.is_whole

    def _step(self, text: str, at: int) -> int:
        """One token, or a part of it; where the next begins."""
        if self._awaits in ("in key", "in value"):
            return self._string(text, at)
        if self._scalar:
            return self._more_scalar(text, at)
        char = text[at]
        if char in _SPACE:
            return at + 1
        if self._awaits in ("value", "value or end") and char not in '"{[]}:,':
            return self._more_scalar(text, at)
        self._mark(char)
        return at + 1

    def _mark(self, char: str) -> None:
        """A character that is no part of a string, or of a scalar."""
        awaits = self._awaits
        if awaits == "object":
            self._expect(char == "{")
            self._begin(char)
        elif char == '"' and awaits in ("key", "key or end"):
            self._awaits = "in key"
        elif char == '"' and awaits in ("value", "value or end"):
            self._awaits = "in value"
        elif char == ":" and awaits == "colon":
            self._awaits = "value"
        elif char in "{[" and awaits in ("value", "value or end"):
            self._begin(char)
        elif char == "," and awaits == "comma or end":
            self._awaits = "key" if self._open[-1] == "{" else "value"
        elif char in "}]" and awaits in ("comma or end", "key or end", "value or end"):
            self._expect(self._open[-1] == {"}": "{", "]": "["}[char])
            self._end()
        else:
            self.is_broken = True

    def _expect(self, met: bool) -> None:  # noqa: FBT001  a condition is all it is
        if not met:
            self.is_broken = True

    def _begin(self, char: str) -> None:
        self._open.append(char)
        self._awaits = "key or end" if char == "{" else "value or end"

    def _end(self) -> None:
        self._open.pop()
        self.is_whole = not self._open
        self._awaits = "comma or end" if self._open else "nothing"

    def _string(self, text: str, at: int) -> int:
        char = text[at]
        if self._escape:
            self._more_escape(char)
            return at + 1
        if char == "\\":
            self._escape = char
            return at + 1
        self._expect(not self._is_half)
        if char == '"':
            self._awaits = "colon" if self._awaits == "in key" else "comma or end"
            return at + 1
        found = _PLAIN.match(text, at)
        if found is None:
            self.is_broken = True
            return at + 1
        return found.end()

    def _more_escape(self, char: str) -> None:
        if self._escape == "\\":
            self._expect(char == "u" or (char in _ESCAPES and not self._is_half))
            self._escape = "\\u" if char == "u" else ""
            return
        self._expect(char in _HEX)
        self._escape += char
        if len(self._escape) == len("\\u0000") and not self.is_broken:
            digits = self._escape.partition("u")[2]
            self._code_unit(int(digits, 16))
            self._escape = ""

    def _code_unit(self, unit: int) -> None:
        """Half of a surrogate pair is no character."""
        self._expect((unit in _SECOND_HALVES) == self._is_half)
        self._is_half = unit in _FIRST_HALVES

    def _more_scalar(self, text: str, at: int) -> int:
        found = _SCALAR.match(text, at)
        if found is not None:
            self._scalar += found.group()
            self._expect(len(self._scalar) <= SCALAR_MOST and _begins_scalar(self._scalar))
            return found.end()
        self._expect(self._scalar in _WORDS or _NUMBER.fullmatch(self._scalar) is not None)
        self._scalar = ""
        self._awaits = "comma or end"
        return at


def _begins_scalar(text: str) -> bool:
    if any(word.startswith(text) for word in _WORDS):
        return True
    return _NUMBER_BEGUN.fullmatch(text) is not None
