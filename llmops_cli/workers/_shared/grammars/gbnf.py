"""Reads llama.cpp's grammars (GBNF): rules of characters, groups, choices and repetitions."""

import re

from _shared.grammars.nodes import (
    LAST_CODE,
    CharSet,
    Choice,
    GrammarError,
    Literal,
    Node,
    OneOf,
    Repeat,
    Rule,
    Rules,
    Sequence,
    span,
)

MOST_CHARS = 128 << 10
DEEPEST_GROUP = 60
NAME = re.compile(r"[A-Za-z0-9_-]+")
SPACE = re.compile(r"(?:[ \t]|#[^\n]*)*")
SPACE_AND_LINES = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
NUMBER = re.compile(r"[0-9]{1,9}")
ANY_CHAR = CharSet([]).inverted()

ESCAPES = {
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "\\": "\\",
    '"': '"',
    "[": "[",
    "]": "]",
}
HEX_DIGITS = {"x": 2, "u": 4, "U": 8}
SHORT_REPEATS: dict[str, tuple[int, int | None]] = {
    "*": (0, None),
    "+": (1, None),
    "?": (0, 1),
}


def parse_gbnf(text: str) -> Rules:
    """Raises: GrammarError with the line that cannot be read."""
    if len(text) > MOST_CHARS:
        raise GrammarError(f"the grammar has over {MOST_CHARS >> 10} KiB")
    return GbnfReader(text).rules()


class GbnfReader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0

    def rules(self) -> Rules:
        found: Rules = {}
        self._skip(SPACE_AND_LINES)
        while self._at < len(self._text):
            name = self._name()
            self._skip(SPACE_AND_LINES)
            self._take("::=")
            self._skip(SPACE_AND_LINES)
            found[name] = self._choice()
            self._end_of_rule()
        return found

    def _end_of_rule(self) -> None:
        here = self._peek()
        if here and here not in "\r\n":
            raise self._error(f"{here!r} is not expected")
        self._skip(SPACE_AND_LINES)

    def _choice(self) -> Node:
        options = [self._sequence()]
        while self._peek() == "|":
            self._at += 1
            self._skip(SPACE_AND_LINES)
            options.append(self._sequence())
        if len(options) == 1:
            return options[0]
        return Choice(tuple(options))

    def _sequence(self) -> Node:
        parts: list[Node] = []
        while True:
            part = self._part()
            if part is None:
                return Sequence(tuple(parts))
            parts.append(self._repeated(part))
            self._skip(SPACE_AND_LINES if self._depth else SPACE)

    def _part(self) -> Node | None:
        """None where a sequence ends."""
        here = self._peek()
        if here == '"':
            return self._literal()
        if here == "[":
            return OneOf(self._set())
        if here == "(":
            return self._group()
        if here == ".":
            self._at += 1
            return OneOf(ANY_CHAR)
        if here and NAME.match(here):
            return Rule(self._name())
        if here in {"<", "!"}:
            raise self._error("tokens (<...>) in grammars are not supported")
        return None

    def _group(self) -> Node:
        self._depth += 1
        if self._depth > DEEPEST_GROUP:
            raise self._error(f"groups are nested over {DEEPEST_GROUP} deep")
        self._at += 1
        self._skip(SPACE_AND_LINES)
        inner = self._choice()
        self._take(")")
        self._depth -= 1
        return inner

    def _repeated(self, part: Node) -> Node:
        while True:
            here = self._peek()
            if here in SHORT_REPEATS:
                least, most = SHORT_REPEATS[here]
                self._at += 1
            elif here == "{":
                least, most = self._counts()
            else:
                return part
            part = Repeat(part, least, most)

    def _counts(self) -> tuple[int, int | None]:
        self._take("{")
        self._skip(SPACE)
        least = self._number()
        self._skip(SPACE)
        most: int | None = least
        if self._peek() == ",":
            self._at += 1
            self._skip(SPACE)
            most = None if self._peek() == "}" else self._number()
            self._skip(SPACE)
        self._take("}")
        if most is not None and most < least:
            raise self._error(f"a repetition of {least} to {most}")
        return least, most

    def _number(self) -> int:
        found = NUMBER.match(self._text, self._at)
        if found is None:
            raise self._error("a number is expected")
        self._at = found.end()
        return int(found[0])

    def _literal(self) -> Node:
        self._take('"')
        chars = []
        while self._peek() != '"':
            chars.append(self._char())
        self._take('"')
        return Literal("".join(chars))

    def _set(self) -> CharSet:
        self._take("[")
        is_inverted = self._peek() == "^"
        if is_inverted:
            self._at += 1
        ranges = []
        while self._peek() != "]":
            first = self._char()
            last = first
            is_range = self._peek() == "-" and self._text[self._at + 1 : self._at + 2] != "]"
            if is_range:
                self._at += 1
                last = self._char()
            if last < first:
                raise self._error(f"a range of {first!r} to {last!r}")
            ranges.append(span(first, last))
        self._take("]")
        chars = CharSet(ranges)
        return chars.inverted() if is_inverted else chars

    def _char(self) -> str:
        here = self._peek()
        if not here or here == "\n":
            raise self._error("a quote or bracket is not closed")
        self._at += 1
        if here != "\\":
            return here
        kind = self._peek()
        self._at += 1
        if kind in HEX_DIGITS:
            return self._hex_char(HEX_DIGITS[kind])
        if kind not in ESCAPES:
            raise self._error(f"unknown escape \\{kind}")
        return ESCAPES[kind]

    def _hex_char(self, count: int) -> str:
        digits = self._text[self._at : self._at + count]
        if len(digits) < count or not re.fullmatch("[0-9A-Fa-f]+", digits):
            raise self._error(f"{count} hexadecimal digits are expected")
        code = int(digits, 16)
        if code > LAST_CODE:
            raise self._error(f"no character has the code {digits}")
        self._at += count
        return chr(code)

    def _name(self) -> str:
        found = NAME.match(self._text, self._at)
        if found is None:
            raise self._error("a rule's name is expected")
        self._at = found.end()
        self._skip(SPACE)
        return found[0]

    def _skip(self, pattern: re.Pattern[str]) -> None:
        found = pattern.match(self._text, self._at)
        if found is not None:
            self._at = found.end()

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _take(self, wanted: str) -> None:
        if not self._text.startswith(wanted, self._at):
            raise self._error(f"{wanted!r} is expected")
        self._at += len(wanted)

    def _error(self, reason: str) -> GrammarError:
        line = self._text.count("\n", 0, self._at) + 1
        return GrammarError(f"line {line} of the grammar: {reason}")
