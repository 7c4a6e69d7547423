"""A text in pieces of bounded size, and the rules that hold in each.

How evidence adds up over them: guard/windows.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from llmops_cli.guard.evidence import Span
from llmops_cli.guard.phrases import meanings_held, rules_held
from llmops_cli.guard.rules import Rule, builtin
from llmops_cli.guard.skeleton import lookalike_skeleton, skeleton, words_of
from llmops_cli.guard.structure import REPEATED, structure_of

WINDOW_CHARS = 4_000
"""A text up to here is one piece: a message that its reader takes in as one."""
PIECE_CHARS = WINDOW_CHARS // 2
LAP_CHARS = 240
"""Of the piece before that a piece has too, so that no phrase is cut."""
PARAGRAPH_CHARS = 600
"""Twice what the longest phrase of a rule has."""
LONG_LEAST = 24
LONG_WORD = re.compile(f"[a-z]{{{LONG_LEAST},200}}")

Held = tuple[Rule, list[int]]
"""A rule that holds, and the numbers of its patterns that do."""


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """`words` is the skeleton of `text`, which stands at `start`.

    `disguised`: rules that hold only with other scripts' letters read as Latin ones.
    """

    start: int
    text: str
    words: str
    held: tuple[Held, ...]
    disguised: tuple[Rule, ...] = ()

    @property
    def span(self) -> Span:
        return self.start, self.start + len(self.text)


def pieces_of(text: str) -> list[Piece]:
    """Linear in the text, which is normal."""
    if len(text) <= WINDOW_CHARS:
        words = skeleton(text)
        return [_piece(0, text, words, held_in(text, words))]
    cuts = _cuts(text, step=PIECE_CHARS, lap=LAP_CHARS)
    return [_part(text[start:end], start) for start, end in cuts]


def paragraphs_of(text: str, start: int) -> list[Piece]:
    """Each overlaps half of the one before. `start`: of the text itself."""
    half = PARAGRAPH_CHARS // 2
    cuts = _cuts(text, step=half, lap=half)
    return [_part(text[first:last], start + first) for first, last in cuts]


def parts_of(text: str, chars: int) -> list[str]:
    """All of the text, each part once, in parts of about so many characters."""
    return [text[first:last] for first, last in _cuts(text, step=chars, lap=0) if first < last]


def _cuts(text: str, *, step: int, lap: int) -> Iterator[Span]:
    """At white space where there is some near."""
    for start in range(0, max(len(text), 1), step):
        lead = max(start - lap, 0)
        yield _at_space(text, lead), _at_space(text, start + step)


def _at_space(text: str, at: int) -> int:
    """That place, or one shortly after it where no word is cut."""
    if at == 0 or at >= len(text):
        return min(at, len(text))
    space = text.find(" ", at, at + LAP_CHARS // 2)
    return at if space < 0 else space


def _part(text: str, start: int) -> Piece:
    """Of a longer text, whose tables and logs repeat themselves."""
    words = skeleton(text)
    held = held_in(text, words)
    return _piece(start, text, words, tuple(item for item in held if item[0] is not REPEATED))


def _piece(
    start: int,
    text: str,
    words: str,
    held: tuple[Held, ...],
) -> Piece:
    disguised = _disguised(text, words, held)
    return Piece(start=start, text=text, words=words, held=held, disguised=disguised)


def held_in(text: str, words: str) -> tuple[Held, ...]:
    """The rules that hold for the words, and for the text's structure."""
    held = list(rules_held(words).items())
    may_be_glued = words_of(words).longest >= LONG_LEAST
    if may_be_glued and LONG_WORD.search(
        words
    ):  # words written as one: IgnoreAllPreviousInstructions
        together = " ".join(LONG_WORD.findall(words))
        known = {rule for rule, _ in held}
        glued = builtin().glued.matches(together)
        held += [(rule, []) for rule in glued if rule not in known]
    held += [(rule, []) for rule in structure_of(text, words)]
    held += [(rule, []) for rule in meanings_held(text, words)]
    return tuple(held)


def _disguised(
    text: str,
    words: str,
    held: tuple[Held, ...],
) -> tuple[Rule, ...]:
    lookalikes = lookalike_skeleton(text)
    if lookalikes is None or lookalikes == words:
        return ()
    plain = {rule for rule, _ in held}
    found = rules_held(lookalikes)
    return tuple(rule for rule in found if rule not in plain)
