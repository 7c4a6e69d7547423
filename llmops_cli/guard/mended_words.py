"""The words of attacks as readers see them in spite of slips, cuts, lost vowels and turned letters.

Only the longer words are mended, and the text around them is read again; a word that is no slip
of one of these costs one look.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path

import msgspec

from llmops_cli.guard.ciphers import LEET
from llmops_cli.guard.normalise import normalise
from llmops_cli.guard.skeleton import skeleton, words_of
from llmops_cli.guard.unusual_words import SEEN_CHARS, SEEN_MOST, UnusualWords
from llmops_cli.runtime.yaml_text import load_yaml

DATA = Path(__file__).with_name("data") / "mended.yaml"

VOWELS = re.compile("[aeiou]")
SLIP_LEAST = 6
SHORT_LEAST = 3
"""Slips of shorter words than SLIP_LEAST are seen beside a longer word in disguise alone."""
LONGEST = 18
PIECE_LEAST = 3
TRIPLED = re.compile(r"([a-z])\1{2,}")
TAG = re.compile(r"<(?<=\w<)[^<>\n]{0,80}>(?:<[^<>\n]{0,80}>){0,3}(?=\w)")
ENTITY = re.compile(r"&#?\w{1,31};")
AROUND = 24
"""Words on both sides of a mended one that are read again."""
MENDED_MOST = 400
PIECES_MOST = 6
ENOUGH = 2
"""Words without vowels, or turned around: one is chance."""


class _MendedFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    words: str
    small: str
    no_slips: str
    short_words: str
    pieces: str


class Vocabulary:
    """The words that are mended, by what slips make of them."""

    def __init__(self, file: _MendedFile) -> None:
        self.words = frozenset(file.words.split())
        self.small = frozenset(file.small.split())
        self._no_slips = frozenset(file.no_slips.split())
        self._real_pieces = frozenset(file.pieces.split())
        long = sorted(word for word in self.words if len(word) >= SLIP_LEAST)
        every = sorted(self.words | self.small)
        self._shortened = {form: word for word in long for form in _without_one(word)}
        self.vowelless = {form: word for word in long for form in _vowelless(word) if len(form) > 2}
        self.every_vowelless = {form: word for word in every for form in _vowelless(word) if form}
        self.short_slips = dict(_short_slips(self.words | self.small))
        for word in (*self.words, *self.small, *file.short_words.split()):
            self.short_slips.pop(word, None)
        self.turned = {word[::-1]: word for word in long}
        self.every_turned = {word[::-1]: word for word in every}
        self.beginnings = {word[:end] for word in self.words for end in range(1, len(word))}
        self.pieces = {piece for word in long for piece in _pieces_of(word)}
        self.odd = UnusualWords(self.is_odd)
        self.mends = Mends(self)

    def is_odd(self, word: str) -> bool:
        """Whether it may be one of the words in disguise."""
        is_plain = word in self.words or word in self.small or word in self._real_pieces
        if is_plain or len(word) > 3 * LONGEST:
            return False
        if word in self.pieces or word in self.vowelless or word in self.turned:
            return True
        return self.mended(word) != word

    def mended(self, word: str) -> str:
        """What it most likely says: at most one slip, letters held down, digits for letters."""
        if word in self.words or word in self._no_slips:
            return word
        plain = word if word.isalpha() or word.isdigit() else word.translate(LEET)
        plain = TRIPLED.sub(r"\1", plain)
        if plain in self.words or plain in self.small:
            return plain
        if not SLIP_LEAST - 1 <= len(plain) <= LONGEST:
            return word
        return self._slip_of(plain) or word

    def _slip_of(self, word: str) -> str | None:
        """The word that it is one letter from: missing, too many, another, or two exchanged."""
        if word in self._shortened:
            found = self._shortened[word]
            return None if found[:-1] == word else found
        for shorter in _without_one(word):
            is_longer = shorter == word[:-1] and word[-1] != word[-2]
            if shorter in self.words and len(shorter) >= SLIP_LEAST and not is_longer:
                return shorter
            found = self._shortened.get(shorter, "")
            if len(found) == len(word) and found[0] == word[0] and _is_one_slip(found, word):
                return found
        return None


class Mends(dict[str, str]):
    """What a word most likely says; looked at closely once."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        super().__init__()
        self._vocabulary = vocabulary

    def __missing__(self, word: str) -> str:
        said = self._vocabulary.mended(word)
        if len(self) < SEEN_MOST and len(word) <= SEEN_CHARS:
            self[word] = said
        return said


@cache
def vocabulary() -> Vocabulary:
    return Vocabulary(msgspec.convert(load_yaml(DATA.read_bytes()), _MendedFile))


def _short_slips(words: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Two letters of a short word exchanged, one twice or left out -> the word."""
    for word in sorted(words):
        if not SHORT_LEAST <= len(word) < SLIP_LEAST:
            continue
        for place in range(len(word) - 1):
            before = word[:place]
            first = word[place]
            second = word[place + 1]
            after = word[place + 2 :]
            yield before + second + first + after, word
            yield before + first + first + second + after, word
            if place and len(word) > SHORT_LEAST:
                yield before + second + after, word
        yield word + word[-1], word


def _without_one(word: str) -> Iterator[str]:
    for place in range(len(word)):
        yield word[:place] + word[place + 1 :]


def _vowelless(word: str) -> set[str]:
    """Without vowels, the first letter kept or not."""
    return {word[0] + VOWELS.sub("", word[1:]), VOWELS.sub("", word)}


def _pieces_of(word: str) -> Iterator[str]:
    """What a word may be cut into, its beginnings and ends."""
    for length in range(PIECE_LEAST, len(word)):
        yield word[:length]
        yield word[-length:]


def _is_one_slip(meant: str, typed: str) -> bool:
    """Whether one letter is another, or two neighbours have changed places; not at the end."""
    wrong = [place for place in range(len(meant)) if meant[place] != typed[place]]
    if len(wrong) == 1:
        return wrong[0] < len(meant) - 1
    first = wrong[0]
    return (
        wrong == [first, first + 1] and meant[first : first + 2] == typed[first : first + 2][::-1]
    )


def mended_text(text: str, unusual: frozenset[str]) -> str | None:
    """The parts of a text around words in disguise, as a reader sees them; None without any.

    `unusual`: words of the text, all that are odd among them.
    """
    known = vocabulary()
    plain = _without_marks(text)
    if plain == text:
        odd = known.odd.of(unusual)
    else:
        different = words_of(skeleton(plain)).different
        odd = known.odd.of(different) | (different & known.words)
    if not odd:
        return None
    words = words_of(skeleton(plain)).in_order
    found = (place for place, word in enumerate(words) if word in odd)
    places = [place for place in found if _is_mended(known, words, place)][:MENDED_MOST]
    if not places:
        return None
    return " . ".join(" ".join(_read(words[start:end])) for start, end in _windows(places))


def _is_mended(
    known: Vocabulary,
    words: Sequence[str],
    place: int,
) -> bool:
    """Whether it is a word in disguise by itself, or makes one with its neighbours."""
    if words[place] not in known.pieces:
        return True
    earliest = max(place - PIECES_MOST + 1, 0)
    return any(
        start + _pieces_from(known, words, start) > place for start in range(earliest, place + 1)
    )


def _without_marks(text: str) -> str:
    """Without tags and entities within words."""
    if "&" in text and ENTITY.search(text):
        text = normalise(html.unescape(text)).text
    return TAG.sub("", text) if "<" in text else text


def _windows(places: list[int]) -> Iterator[tuple[int, int]]:
    start = max(places[0] - AROUND, 0)
    end = places[0] + AROUND
    for place in places[1:]:
        if place - AROUND > end:
            yield start, end
            start = place - AROUND
        end = place + AROUND
    yield start, end


def _read(words: Sequence[str]) -> list[str]:
    known = vocabulary()
    if sum(word in known.turned for word in words) >= ENOUGH:
        return [known.every_turned.get(word, word[::-1]) for word in words]
    if sum(word in known.vowelless for word in words) >= ENOUGH:
        return [known.every_vowelless.get(word, word) for word in words]
    return list(_joined(known, words))


def _joined(known: Vocabulary, words: Sequence[str]) -> Iterator[str]:
    """With pieces of one word put together."""
    place = 0
    while place < len(words):
        word = words[place]
        count = _pieces_from(known, words, place) if word in known.beginnings else 0
        if count:
            word = "".join(words[place : place + count])
        yield known.short_slips.get(word) or known.mends[word]
        place += count or 1


def _pieces_from(
    known: Vocabulary,
    words: Sequence[str],
    place: int,
) -> int:
    """How many words from there on are one together, the longest; 0 if none are."""
    found = 0
    together = words[place]
    for count in range(2, PIECES_MOST + 1):
        if together not in known.beginnings or place + count > len(words):
            break
        together += words[place + count - 1]
        if together in known.words:
            found = count
    return found
