"""What a text says once decoded, one layer at a time: carriers in it and ciphers over all of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from itertools import islice, pairwise

import msgspec
import re2

from llmops_cli.guard.arranged import TOLD_BY, arranged, numbered
from llmops_cli.guard.automata import PatternSet, without_surrogates
from llmops_cli.guard.carriers import (
    BY_NAME,
    CARRIERS,
    WORDS_OF_ADDRESSES,
    Carrier,
    read_base32,
    read_base64,
    read_hex,
)
from llmops_cli.guard.ciphers import (
    ANCHORS,
    CIPHERS,
    EXCHANGES,
    LEET_SIGN,
    PIG_SIGN,
    read_leet,
    read_pig_latin,
)
from llmops_cli.guard.mended_words import mended_text, vocabulary
from llmops_cli.guard.signs import DIGITS, Least, Sign, SignSet
from llmops_cli.guard.skeleton import skeleton, words_of
from llmops_cli.guard.tested import is_test
from llmops_cli.guard.unusual_words import UnusualWords

MOST = 32
"""Segments of one kind that are looked at in a layer; of more, so many."""
CIPHERS_TOGETHER = 6
ANCHOR_LEAST = 6
BASE64 = "base64"
LEET = "leet"
PIG_LATIN = "pig latin"
JOINED = "joined"
MENDED = "mended"
ARRANGED = "arranged"
NUMBERED = "numbered"
UPSIDE_DOWN = "upside down"
TURNED_LETTERS = "ǝɹʇɐɥɯʎʌʍƃɟɾʞɔıʃundpqb"  # noqa: RUF001
TURNED = str.maketrans(TURNED_LETTERS, "ertahmyvwgfjkcilnupdbq")
ONLY_TURNED = TURNED_LETTERS[:-6]
"""Letters that stand upright nowhere but in phonetics; the others are two letters each."""
JOINED_SIGN = r"[\"'“”][^\"'“”\n]+[\"'“”][^\n]*\n?[^\n]*[\"'“”]"
NUMBERED_SIGN = r"\d[)\].:=] ?[\"'“\pL]"
OWN_SIGNS = (
    Sign(name=LEET, pattern=LEET_SIGN, least=Least(marks=tuple("0134579@$!|+"), count=2)),
    Sign(name=PIG_LATIN, pattern=PIG_SIGN, least=Least(marks=("ay", "AY", "Ay", "aY"), count=4)),
    Sign(
        name=UPSIDE_DOWN,
        pattern=f"(?:[{ONLY_TURNED}][a-z ]{{0,3}}){{3}}",
        least=Least(marks=tuple(ONLY_TURNED), count=3, ascii_only=False),
    ),
    Sign(name=JOINED, pattern=JOINED_SIGN, least=Least(marks=tuple("\"'“”"), count=3)),
    Sign(name=NUMBERED, pattern=NUMBERED_SIGN, least=Least(marks=DIGITS, count=3)),
)
PART = re.compile(r"\S+")
PARTS_MOST = 8
PIECE = re.compile(r"[\"“]([^\"“”\n]{1,200})[\"”]|'([^'\n]{1,200})'")
ASSIGNED = re.compile(r"\b(\w{1,20})\s{0,2}:?=\s{0,2}[\"']([^\"'\n]{1,200})[\"']")
SUM = re.compile(r"\b\w{1,20}(?:\s?\+\s?\w{1,20}){1,31}\b")
PIECES_MOST = 64
DISGUISES = ("rot13", "atbash", "reversed")
DISGUISED = (
    (BASE64, read_base64, re.compile(r"[\w+/=\s\\-]+", re.ASCII)),
    ("base32", read_base32, re.compile(r"[A-Za-z2-7=\s]+")),
    ("hex", read_hex, re.compile(r"(?:0x|\\x|[0-9a-fA-F\s:,-])+")),
)
"""Carriers that are tried again once the letters of a run are exchanged."""


class View(msgspec.Struct, frozen=True):
    """`text` as `name` says it; `span` is where it stood in the text that was decoded.

    A view that was `glued` has lost the spaces between its words.
    """

    name: str
    text: str
    span: tuple[int, int]
    glued: bool = False


def views_of(text: str) -> Iterator[View]:
    """Every reading of the text, one layer deep."""
    text = without_surrogates(text)
    signs = _signs()
    whole = (0, len(text))
    words = words_of(skeleton(text))
    unusual = _unusual_words().of(words.different)
    for name in signs.of(text, unusual):
        if name in BY_NAME:
            yield from _carried(BY_NAME[name], signs.patterns[name], text)
        elif name in CIPHERS:
            yield View(name, CIPHERS[name].decode(text), whole)
        elif name in EXCHANGES:
            yield View(name, EXCHANGES[name].decode(text), whole)
        else:
            yield from (View(name, read, whole) for read in OWN_READERS[name](text))
    for read, is_glued in arranged(text, words.in_order, unusual):
        yield View(ARRANGED, read, whole, is_glued)
    said = mended_text(text, unusual)
    if said is not None:
        yield View(MENDED, said, whole)


def _read_turned(text: str) -> Iterator[str]:
    yield text.translate(TURNED)


def _read_pig_latin(text: str) -> Iterator[str]:
    yield read_pig_latin(text)


def _read_numbered(text: str) -> Iterator[str]:
    said = numbered(text)
    if said is not None:
        yield said


class Signs:
    """Everything that gives a carrier or a cipher away."""

    def __init__(self) -> None:
        self.patterns = {carrier.name: re.compile(carrier.pattern) for carrier in CARRIERS}
        carriers = [
            Sign(name=carrier.name, pattern=carrier.sign, least=carrier.least)
            for carrier in CARRIERS
        ]
        self._carriers = SignSet([*carriers, *OWN_SIGNS])
        words = [anchor for anchor in ANCHORS if len(anchor) >= ANCHOR_LEAST]
        written = {name: [each.encode(word) for word in words] for name, each in CIPHERS.items()}
        ciphers = {name: "|".join(forms) for name, forms in written.items()}
        exchanges = {
            name: "|".join(re2.escape(exchange.encode(word).lower()) for word in words)
            for name, exchange in EXCHANGES.items()
        }
        self._ciphers = PatternSet(list(ciphers.values()), together=CIPHERS_TOGETHER)
        self._exchanges = PatternSet(list(exchanges.values()), together=len(exchanges))
        self.in_cipher = WordsWith(form for forms in written.values() for form in forms)
        self._cipher_names = list(ciphers)
        self._exchange_names = list(exchanges)

    def of(self, text: str, words: frozenset[str]) -> list[str]:
        """Names of the carriers and ciphers that the text may have.

        `words`: of its skeleton, all that have something of a cipher among them.
        """
        names = self._carriers.of(text)
        lower = text.lower().encode()
        if any(map(self.in_cipher.has_one, words)):
            names += [self._cipher_names[index] for index in self._ciphers.match(lower)]
        return names + [self._exchange_names[index] for index in self._exchanges.match(lower)]


class WordsWith:
    """Whether a word has one of the parts in it."""

    def __init__(self, parts: Iterable[str]) -> None:
        self._by_start: dict[str, list[str]] = {}
        for part in parts:
            self._by_start.setdefault(part[:ANCHOR_LEAST], []).append(part)

    def has_one(self, word: str) -> bool:
        return any(
            word.startswith(part, place)
            for place in range(len(word) - ANCHOR_LEAST + 1)
            for part in self._by_start.get(word[place : place + ANCHOR_LEAST], ())
        )


@cache
def _signs() -> Signs:
    return Signs()


@cache
def _unusual_words() -> UnusualWords:
    """What tells of a cipher, of words in another order or of a word in disguise."""
    return UnusualWords(TOLD_BY.__contains__, _signs().in_cipher.has_one, vocabulary().is_odd)


def _carried(
    carrier: Carrier,
    pattern: re.Pattern[str],
    text: str,
) -> Iterator[View]:
    for number, found in enumerate(pattern.finditer(text)):
        if number >= MOST:
            break
        if carrier.name == BASE64:
            yield from _coded(found[0], found.start())
            continue
        said = carrier.decode(found[0])
        if said and said != found[0]:
            yield View(carrier.name, said, found.span(), carrier.glued)


def _coded(run: str, start: int) -> Iterator[View]:
    """What base64 says in one run, or in its lines if names and paths stand beside it."""
    if WORDS_OF_ADDRESSES.fullmatch(run):
        return
    name = BASE64
    said = read_base64(run)
    if said is None:
        name, said = _disguised(run)
    if said and said != run:
        yield View(name, said, (start, start + len(run)))
    elif not said:
        parts = list(islice(PART.finditer(run), PARTS_MOST))
        for part in parts if len(parts) > 1 else ():
            yield from _coded(part[0], start + part.start())


def _disguised(run: str) -> tuple[str, str | None]:
    """A run that is base64, base32 or hex once its letters are exchanged, or read from the end."""
    for name in DISGUISES:
        plain = CIPHERS[name].decode(run)
        for inner, decode, written in DISGUISED:
            said = decode(plain) if written.fullmatch(plain) else None
            if said:
                return f"{name}, {inner}", said
    return "", None


def _joined(text: str) -> Iterator[str]:
    """Pieces in quotation marks, put together: payloads that were split.

    In the order of a sum, where one names them.
    """
    named = dict(ASSIGNED.findall(text)) if "=" in text else {}
    for found in SUM.findall(text) if len(named) > 1 else ():
        names = [name.strip() for name in found.split("+")]
        if named.keys() >= set(names):
            yield "".join(named[name] for name in names)
            break
    pieces = [first or second for first, second in PIECE.findall(text)]
    if 2 <= len(pieces) <= PIECES_MOST and not is_test(text):
        yield "".join(pieces)
        if any(before[-1].isalnum() and after[0].isalnum() for before, after in pairwise(pieces)):
            yield " ".join(pieces)


OWN_READERS: dict[str, Callable[[str], Iterator[str]]] = {
    LEET: read_leet,
    UPSIDE_DOWN: _read_turned,
    PIG_LATIN: _read_pig_latin,
    JOINED: _joined,
    NUMBERED: _read_numbered,
}
