"""Messages told by where words stand: in numbered pieces, at the ends of lines, from the end.

A reader needs to be told how to read them, so that is looked for first.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from operator import itemgetter

LABEL = r"(?:(?i:words?|parts?|pieces?|fragments?|steps?|lines?|no|nr|token|teil|wort|parte) )"
NUMBERED = re.compile(
    r"(?<![\w.])[(\[]?(\d{1,2})[)\].:=]{1,2}\s{0,2}([^\d()\[\]\n]{1,60}?)"
    rf"(?=(?:\s?[,/|]\s?|\s){LABEL}?[(\[]?\d{{1,2}}[)\].:=]|\s?[.;\n(\[]|\Z)"
)
PIECES_LEAST = 3
PIECES_MOST = 64
PIECE_WORDS_MOST = 6
"""A piece of a sentence is short; the items of an honest list mostly are not."""
TURNED_PLACES = 4
TURNED_WORDS = 400
"""On each side of the words that tell to read from the end, in a long text."""
LETTER_WORDS = frozenset(
    [
        *("letter", "letters", "initial", "initials", "acrostic", "buchstabe", "buchstaben"),
        *("anfangsbuchstaben", "akrostichon", "lettre", "lettres", "acrostiche", "letra", "letras"),
        *("acrostico", "lettera", "lettere", "iniziali", "iniciales", "буква", "буквы"),
        *("букву", "букв", "litera", "litery", "litere"),
    ]
)
LINE_WORDS = frozenset(
    [
        *("line", "lines", "sentence", "sentences", "row", "rows", "zeile", "zeilen", "satz"),
        *("saetze", "satze", "ligne", "lignes", "linea", "lineas", "linha", "linhas", "riga"),
        *("righe", "phrase", "phrases", "frase", "frases", "строки", "строк", "строке"),
    ]
)
FIRST_WORDS = re.compile(
    r" (?:first|initial|opening|last|final) words? (?:\S+ ){0,3}(?:each|every|all|the|these|those) "
    r"| (?:erste|ersten|letzte|letzten) wort\S* | (?:premiers?|derniers?) mots? "
    r"| (?:primera|ultima)s? palabras? | (?:primeira|ultima)s? palavras? "
    r"| (?:prima|ultima) parola | (?:перв|последн)\S+ слов\S* "
)
FIRST_WORD = re.compile(r"[\w']+")
SENTENCE = re.compile(r"[.!?]\s+|\n+")
TURN_WORDS = frozenset(
    [
        *("backwards", "backward", "reverse", "reversed", "reversing", "last", "end", "right"),
        *("back", "ruckwarts", "hinten", "letzten", "envers", "reves", "contrario", "rovescio"),
        *("наоборот", "конца", "achteren", "tylu", "konca"),
    ]
)
TURNED = re.compile(
    r" (?:backwards?|revers(?:e|ed|ing)|back to front|right to left"
    r"|(?:last|end) (?:\S+ ){0,2}to (?:\S+ ){0,3}(?:first|start|beginning|front)"
    r"|from (?:the )?(?:end|back|last)"
    r"|ruckwarts|von hinten|letzten (?:\S+ ){0,2}zum ersten|a l envers|al reves|al contrario"
    r"|al rovescio|наоборот|с конца|achteren|od (?:tylu|konca)) "  # noqa: RUF001
)


TOLD_BY = LETTER_WORDS | LINE_WORDS | TURN_WORDS
"""A text without any of these tells nobody how to read it."""


def arranged(
    text: str,
    words: Sequence[str],
    different: frozenset[str],
) -> Iterator[tuple[str, bool]]:
    """What it says so, and whether the words are glued.

    `words`: its skeleton's. `different`: of these, all that are in TOLD_BY among them.
    """
    if not different.isdisjoint(LETTER_WORDS):
        yield from ((said, True) for said in _letters(text, words))
    if not different.isdisjoint(LINE_WORDS) and FIRST_WORDS.search(f" {' '.join(words)} "):
        yield from ((said, False) for said in _ends_of_lines(text))
    if not different.isdisjoint(TURN_WORDS) and TURNED.search(f" {' '.join(words)} "):
        yield from ((said, False) for said in _turned(words))


def numbered(text: str) -> str | None:
    """Its short numbered pieces in the order of their numbers.

    One more number, before or behind them, is no reason to read none.
    """
    found = [match.groups() for match in itertools.islice(NUMBERED.finditer(text), PIECES_MOST)]
    pieces = [
        (int(number), piece.strip(" \"'“”‘’`"))  # noqa: RUF001
        for number, piece in found
        if len(piece.split()) <= PIECE_WORDS_MOST
    ]
    if len({number for number, _ in pieces}) < PIECES_LEAST:
        return None
    return " ".join(piece for _, piece in sorted(pieces, key=itemgetter(0)))


def _turned(words: Sequence[str]) -> Iterator[str]:
    """The words from the end; of many, those near the words that tell to read so."""
    if len(words) <= 2 * TURNED_WORDS:
        yield " ".join(reversed(words))
        return
    spaced = f" {' '.join(words)} "
    for found in itertools.islice(TURNED.finditer(spaced), TURNED_PLACES):
        place = spaced.count(" ", 0, found.start())
        near = words[max(place - TURNED_WORDS, 0) : place + TURNED_WORDS]
        yield " ".join(reversed(near))


def _ends_of_lines(text: str) -> Iterator[str]:
    """First and last words of lines, then of sentences."""
    for parts in (text.splitlines(), SENTENCE.split(text)):
        worded = [found for found in map(FIRST_WORD.findall, parts) if found]
        yield " ".join(found[0] for found in worded)
        yield " ".join(found[-1] for found in worded)


def _letters(text: str, words: Sequence[str]) -> Iterator[str]:
    """First letters of lines, with spaces for blank ones; first and last letters of words."""
    yield "".join(line.lstrip()[:1] or " " for line in text.splitlines())
    yield "".join(word[0] for word in words)
    yield "".join(word[-1] for word in words)
