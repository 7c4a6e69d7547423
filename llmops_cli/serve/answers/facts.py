"""What of a question no other wording may change: numbers, negations, names, sides, their order.

Embeddings of "A pays B" and "B pays A", of "with" and "without", of 3 and 4 are nearly the same.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from functools import cache
from hashlib import blake2b
from typing import NamedTuple

from llmops_cli.core.unicode_forms import normalised
from llmops_cli.serve.answers.fact_words import counting_words, words_of_list

CHARS_MOST = 2000
"""Of a question; a longer one is no other's wording."""
CONTRACTED = "n't"
COMPOUND_ENDS = ("zig", "hundert", "tausend", "teen")
MARKS = "%°*/&^~"
"""Symbols that count beside those of money and of mathematics."""
_POLITE = re.compile(
    r"\b(?:(?:can|could|would|will) you (?:please |kindly )?"
    r"|i(?:'d| would) like to know |i want to know |do you (?:happen to )?know "
    r"|(?:please |kindly )?(?:tell|show) me |please )",
    re.IGNORECASE,
)
_HOW_TO = re.compile(r"\bhow (?:can|could|do|would|to) (?:i |we |you |one )?", re.IGNORECASE)
_MARKS_OF_LETTERS = "\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0900-\u0dff\u0e31-\u0e4e"
"""Combining marks, which Python's letters leave out."""
_LETTER = rf"(?:[^\W\d_][{_MARKS_OF_LETTERS}]*)"
_TOKEN = re.compile(
    rf"""(?P<number>[-+\u2212]?\d+(?:[.,:/'-]\d+)*[^\W\d_]*)
    |(?P<code>[^\W_]*[_@\\#][\w@\\#./-]*|\w+(?:[./]\w+)+|[^\W\d_]+\d\w*)
    |(?P<character>[\u2e80-\u9fff\uf900-\ufaff\uac00-\ud7af\u3040-\u30ff])
    |(?P<word>{_LETTER}+(?:['-]{_LETTER}+)*)
    |(?P<end>[.!?\n:;]+)
    |(?P<symbol>\S)""",
    re.VERBOSE,
)


class Token(NamedTuple):
    """`folded`: in the case in which words are compared. `begins`: a sentence does, with it."""

    kind: str
    text: str
    folded: str
    begins: bool

    @property
    def may_begin_any(self) -> bool:
        """Whether its capital says nothing: a sentence begins with it, as any may."""
        return self.begins and self.folded in words_of_list("starters")

    @property
    def is_filler(self) -> bool:
        return self.folded in words_of_list("fillers")

    @property
    def is_name(self) -> bool:
        """By its capitals. A sentence's first word is one too, unless any may begin with it."""
        if self.kind != "word" or self.text in (self.folded, "I") or self.text.startswith("I'"):
            return False
        return not self.may_begin_any


NONE = Token("", "", "", begins=False)


def tokens_of(text: str) -> list[Token]:
    plain = _plain(text)
    plain = _HOW_TO.sub("how to ", _POLITE.sub("", plain))
    found = []
    begins = True
    for match in _TOKEN.finditer(plain):
        kind = str(match.lastgroup)
        if kind != "end":
            said = match[0]
            found.append(Token(kind, said, _folded(kind, said), begins))
        begins = kind == "end"
    return found


def _plain(text: str) -> str:
    """One way to write what looks the same."""
    return normalised("NFKC", text).replace("\u2019", "'")


def _folded(kind: str, text: str) -> str:
    """Digits of all scripts are the same."""
    if kind == "number":
        text = "".join(str(unicodedata.digit(char, char)) for char in text)
    return text.replace("\u2212", "-").casefold()


def facts_of(text: str) -> list[str]:
    """In the order of the text; what languages without spaces negate, behind."""
    tokens = tokens_of(text)
    around = zip([NONE, *tokens], tokens, [*tokens[1:], NONE], strict=False)
    found = [token.folded for before, token, after in around if _is_fact(before, token, after)]
    return found + _negated_inside().findall(_plain(text))


@cache
def _negated_inside() -> re.Pattern[str]:
    longest_first = sorted(words_of_list("written_together"), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)))


def _is_fact(
    before: Token,
    token: Token,
    after: Token,
) -> bool:
    if token.kind in ("number", "code"):
        return True
    if token.kind == "symbol":
        return unicodedata.category(token.text) in ("Sc", "Sm", "So") or token.text in MARKS
    if token.kind == "character":
        return token.text in words_of_list("character_numbers")
    if before.kind == "number" and not token.is_filler:
        return True  # what is counted, or its unit
    if before.folded == "how":  # how old
        return token.folded not in words_of_list("able_before")
    if token.folded == "to":  # to Rome
        return after.is_name or after.kind in ("number", "code")
    return token.is_name or _counts(token.folded)


def _counts(word: str) -> bool:
    counting = counting_words()
    if any(part in counting for part in (word, *word.split("-"))):
        return True
    return word.endswith((CONTRACTED, *COMPOUND_ENDS))


# -- words in their order


def words_of(text: str) -> list[bytes]:
    """Digests of all words but those that say nothing, in their order."""
    tokens = tokens_of(text)
    said = [token for token in tokens if token.kind != "symbol" and not token.is_filler]
    return [_digest(token.folded) for token in said]


def _digest(word: str) -> bytes:
    return blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest()


def is_another_wording(one: Sequence[bytes], other: Sequence[bytes]) -> bool:
    """Whether two questions with the same facts may mean the same.

    Not if what both say stands in another order (A pays B, B pays A), nor if some words of the one
    stand just where as many others do in the other (fly to paris, fly to rome).
    """
    ours = _between(one, set(other))
    theirs = _between(other, set(one))
    if ours.shared != theirs.shared:
        return False
    return not any(
        here == there != 0 for here, there in zip(ours.others, theirs.others, strict=True)
    )


class _Between(NamedTuple):
    """`shared`: words that another question has too.

    `others`: how many words stand before each of those, and behind the last.
    """

    shared: list[bytes]
    others: list[int]


def _between(words: Sequence[bytes], theirs: AbstractSet[bytes]) -> _Between:
    found = _Between([], [0])
    for word in words:
        if word in theirs:
            found.shared.append(word)
            found.others.append(0)
        else:
            found.others[-1] += 1
    return found
