"""Keys of providers and of gateways in what was asked and answered. No key leaves this module."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from llmops_cli.serve.seen_texts import SeenTexts

PIECE_CHARS = 64 << 10
"""Looked through at once; a judge that is asked for megabytes is done with a piece in 2 ms."""
OVERLAP_CHARS = 512
"""A key lies within two pieces at most, and is whole in one of them."""
FOUND_MOST = 64
"""Of a prompt, and of an answer: whose each of them is has to be looked up."""
OURS = "llmops"
"""The form of gateways' own keys."""


class FoundKey(NamedTuple):
    """`digest`: SHA-256 of the key, by which those that we know are told."""

    direction: str
    form: str
    digest: bytes


def search_keys(seen: SeenTexts) -> list[FoundKey]:
    """Each once, as far as they are looked up."""
    from llmops_cli.guard.keys import may_hold_keys

    together = "\n".join([*seen.asked, *seen.said.glance()])
    if len(together) <= PIECE_CHARS and not may_hold_keys(together):
        return []
    asked = _found("input", seen.asked)
    said = _found("output", seen.said.texts())
    return [*_first_of(asked), *_first_of(said)]


def _first_of(found: Iterable[FoundKey]) -> list[FoundKey]:
    """Different ones: a key that stands there a hundred times hides no other."""
    known: dict[FoundKey, None] = {}
    for each in found:
        known[each] = None
        if len(known) >= FOUND_MOST:
            break
    return list(known)


def warm_up_search() -> None:
    """Makes what the first search would wait for: a tenth of a second."""
    search_keys(SeenTexts(asked=["Hello"]))


def _found(direction: str, texts: Iterable[str]) -> Iterator[FoundKey]:
    from llmops_cli.guard.keys import keys_in

    for piece in _pieces(texts):
        for each in keys_in(piece.text):
            if piece.is_whole_in(each.span):
                digest = hashlib.sha256(each.key.encode("utf-8", "surrogateescape")).digest()
                yield FoundKey(direction, each.form, digest)


class _Piece(NamedTuple):
    """Of a long text. `begins`, `ends`: the text does, with it."""

    text: str
    begins: bool
    ends: bool

    def is_whole_in(self, span: tuple[int, int]) -> bool:
        """Whether what stands there may not go on in the neighbouring piece."""
        starts_here = self.begins or span[0] > 0
        return starts_here and (self.ends or span[1] < len(self.text))


def _pieces(texts: Iterable[str]) -> Iterator[_Piece]:
    """Of all texts as one: thousands of short ones are searched like a long one."""
    text = "\n".join(texts)
    for first in range(0, len(text), PIECE_CHARS):
        end = first + PIECE_CHARS
        piece = text[max(0, first - OVERLAP_CHARS) : end]
        yield _Piece(piece, begins=first == 0, ends=end >= len(text))
