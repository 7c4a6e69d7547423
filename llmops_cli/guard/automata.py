"""Many patterns looked for in one text, in linear time whatever the text is (RE2).

An automaton's states are made while it reads. With all patterns in one, a text of random letters
makes a new state at nearly every letter (5 ms a KB), as each pattern's progress is multiplied by
the others'. So there are several, of a few patterns each.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import re2

SURROGATES = re.compile("[\ud800-\udfff]")
REPLACEMENT = "\ufffd"
ASCII = bytes(range(128))


class PatternSet:
    """`match` tells which patterns a text has, by number."""

    def __init__(
        self,
        patterns: Sequence[str],
        *,
        together: int,
        options: re2.Options | None = None,
    ) -> None:
        settings = options or text_options()
        self._sets = [
            (first, automaton_of(patterns[first : first + together], settings))
            for first in range(0, len(patterns), together)
        ]

    def match(self, text: str | bytes) -> list[int]:
        """Numbers in order. Text as a str has no surrogates."""
        raw = text.encode() if isinstance(text, str) else text
        found: list[int] = []
        for first, automaton in self._sets:
            held = automaton.Match(raw)
            if held:
                found += [first + index for index in sorted(held)]
        return found

    def has_any(self, text: str | bytes) -> bool:
        """Whether a text without surrogates has one of them: where they stand is not looked for."""
        raw = text.encode() if isinstance(text, str) else text
        return any(automaton.Match(raw) for _, automaton in self._sets)


def text_options() -> re2.Options:
    """Characters are characters, and nothing is written to stderr."""
    options = re2.Options()
    options.max_mem = 16 << 20
    options.log_errors = False
    return options


def automaton_of(patterns: Sequence[str], options: re2.Options) -> re2.Set:
    """Its `Match` tells which of the patterns bytes have, in any order; None if none."""
    together = re2.Set.SearchSet(options)
    for pattern in patterns:
        together.Add(pattern)
    together.Compile()
    return together


def without_surrogates(text: str) -> str:
    """The same places, with a sign for each half of a character: no encoding has those."""
    if text.isascii():
        return text
    try:
        text.encode()  # which tells ten times sooner than a pattern
    except UnicodeEncodeError:
        return SURROGATES.sub(REPLACEMENT, text)
    return text


def beside_ascii(text: str) -> str:
    """A text's other characters, which most have few of: what is none of ASCII's is among them."""
    raw = text.encode(errors="surrogatepass")
    return raw.translate(None, ASCII).decode(errors="surrogatepass")
