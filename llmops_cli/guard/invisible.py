"""Characters that nobody sees: what they are for, and what was hidden in them.

Joiners and variation selectors belong to Persian, Hindi, Malayalam and emoji; there they stay
without a word. Elsewhere they are dropped, and a message that they carry is a finding.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

import msgspec

Match = re.Match[str]

JOINERS = "\u200c\u200d"
INVISIBLE = re.compile(
    "["
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e"
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb"
    "\U0001d173-\U0001d17a\U000e0000-\U000e007f\U000e0100-\U000e01ef"
    "]+"
)
BITS = frozenset("\u200b\u200c\u200d\u2060\u2061\u2062\u2063\u2064\ufeff")
"""Zero-width characters that can stand for zeros and ones."""
ORDERS = "\u202a\u202b\u202d\u202e"
"""Embeddings and overrides of the direction of writing."""
MARKS_OF_DIRECTION = frozenset("\u200e\u200f\u061c\u200c\u200d\u2066\u2067\u2068\u2069\ufeff")
OVERRIDES = "\u202d\u202e"
SELECTORS = "\ufe0e\ufe0f\u200d"
SOFT_HYPHEN = "\u00ad"
FIRST_TAG = "\U000e0020"
LAST_TAG = "\U000e007e"
CANCEL_TAG = "\x7f"
TAGS = 0xE0000
"""From a tag to its ASCII character."""
CARRIED_LEAST = 2
"""Characters: fewer are no message."""
BITS_LEAST = 16
WORDS_SHARE = 0.8
"""Letters, digits and spaces in what zero-width bits say, if it is text."""
SPLIT_WORDS = 3
SPLIT_RULE = "split-words"
OVERRIDDEN_MOST = 200
FLAG = re.compile("[a-z]{2}[a-z0-9]{1,3}")
BLACK_FLAG = "\U0001f3f4"
SPACES_APART = frozenset(["Thai", "Lao", "Khmer", "Myanmar"])
"""Scripts that write no spaces, where zero-width space says where a line may break."""


class Hidden(msgspec.Struct, frozen=True):
    """A message, or a trick, in characters that nobody sees. `span` is in the text as it came."""

    rule: str
    span: tuple[int, int]
    text: str


def without_invisible(text: str) -> tuple[str, tuple[Hidden, ...]]:
    """The text without them, but for joiners in their places, and what they hid."""
    runs = list(INVISIBLE.finditer(text))
    hidden: list[Hidden] = []
    splits: list[int] = []
    parts = []
    end = 0
    for run in runs:
        parts.append(text[end : run.start()])
        end = run.end()
        before = text[run.start() - 1 : run.start()]
        after = text[end : end + 1]
        if _belongs(run[0], before, after):
            parts.append(_kept(run[0]))
            continue
        message = _message(run[0])
        if message and not _is_flag(before, run[0]):
            hidden.append(Hidden(_carrier(run[0]), run.span(), message))
        elif _splits_word(run[0], before, after):
            splits.append(run.start())
        hidden += _overridden(text, run)
    parts.append(text[end:])
    if not hidden:
        hidden += _spread(runs)
    hidden += _split_words(splits)
    return "".join(parts), tuple(hidden)


def _kept(run: str) -> str:
    """Joiners stay where they belong; the others say nothing there."""
    has_joiner = any(joiner in run for joiner in JOINERS)
    return run if has_joiner else ""


def _splits_word(
    run: str,
    before: str,
    after: str,
) -> bool:
    return SOFT_HYPHEN not in run and _is_latin(before) and _is_latin(after)


def _split_words(splits: list[int]) -> Iterator[Hidden]:
    """Words that invisible characters keep filters from reading."""
    if len(splits) >= SPLIT_WORDS:
        span = (splits[0], splits[-1] + 1)
        yield Hidden(SPLIT_RULE, span, f"{len(splits)} words are split")


def _spread(runs: list[Match]) -> Iterator[Hidden]:
    """A message in bits that stand one by one over the whole text."""
    message = _bits("".join(run[0] for run in runs))
    if message:
        yield Hidden("zero-width-bits", (runs[0].start(), runs[-1].end()), message)


def _belongs(
    run: str,
    before: str,
    after: str,
) -> bool:
    """Whether these characters do in this place what they are for."""
    if len(run) == 1:
        return _one_belongs(run, before, after)
    if run.strip(SELECTORS) == "":
        return _is_emoji(before) or before in "0123456789#*"
    return set(run) <= MARKS_OF_DIRECTION and not _is_latin(before)


def _one_belongs(
    char: str,
    before: str,
    after: str,
) -> bool:
    if char in JOINERS:
        is_joining = _joins(before) and (_joins(after) or not after.isalnum())
        return is_joining or (char == "\u200d" and _is_emoji(before))
    between_latin = _is_latin(before) and _is_latin(after)
    if char == "\u200b":
        return not between_latin or _script(before) in SPACES_APART
    return char not in ORDERS and not between_latin


def _joins(char: str) -> bool:
    """Letters of scripts whose letters join: Arabic to Thai, Mongolian, and the Arabic forms."""
    if not char:
        return False
    return (
        "\u0600" <= char <= "\u109f" or "\u1780" <= char <= "\u18af" or "\ufb50" <= char <= "\ufefc"
    )


def _is_emoji(char: str) -> bool:
    if not char:
        return False
    return unicodedata.category(char) in ("So", "Sk", "Sm") or char in "\ufe0f\u200d"


def _is_latin(char: str) -> bool:
    return char.isalpha() and char < "\u0250"


def _script(char: str) -> str:
    return unicodedata.name(char, " ").split()[0].title() if char else ""


def _carrier(run: str) -> str:
    first = next((char for char in run if char not in JOINERS), run[0])
    if _selector(first) >= 0 or first >= "\U000e0100":
        return "variation-selectors"
    return "tag-characters" if first >= "\U000e0000" else "zero-width-bits"


def _is_flag(before: str, run: str) -> bool:
    """England's, Scotland's and their like are spelled in tags after a black flag."""
    if before != BLACK_FLAG:
        return False
    tags = "".join(chr(ord(char) - TAGS) for char in run if char >= FIRST_TAG)
    return tags.endswith(CANCEL_TAG) and bool(FLAG.fullmatch(tags[:-1]))


def _message(run: str) -> str:
    """What tag characters, variation selectors (each a byte) or zero-width bits say; or nothing."""
    tags = "".join(chr(ord(char) - TAGS) for char in run if FIRST_TAG <= char <= LAST_TAG)
    if len(tags) >= CARRIED_LEAST:
        return tags
    octets = bytes(byte for byte in map(_selector, run) if byte >= 0)
    if len(octets) > CARRIED_LEAST:
        return octets.decode("utf-8", errors="replace")
    return _bits(run)


def _selector(char: str) -> int:
    """The byte of a variation selector, -1 for another character."""
    if "\ufe00" <= char <= "\ufe0f":
        return ord(char) - 0xFE00
    if "\U000e0100" <= char <= "\U000e01ef":
        return ord(char) - 0xE0100 + 16
    return -1


def _bits(run: str) -> str:
    """Two kinds of zero-width characters as zeros and ones, whichever way gives text."""
    signs = [char for char in run if char in BITS]
    kinds = sorted(set(signs))
    if len(signs) < BITS_LEAST or len(kinds) not in (2, 3):
        return ""
    for zero, one in ((kinds[0], kinds[1]), (kinds[1], kinds[0])):
        bits = "".join("0" if char == zero else "1" for char in signs if char in (zero, one))
        for width in (8, 7):
            found = _chars(bits, width)
            if _is_text(found):
                return found
    return ""


def _chars(bits: str, width: int) -> str:
    starts = range(0, len(bits) - width + 1, width)
    return "".join(chr(int(bits[start : start + width], 2)) for start in starts)


def _is_text(found: str) -> bool:
    if not found.isprintable():
        return False
    return sum(char.isalnum() or char == " " for char in found) > WORDS_SHARE * len(found)


def _overridden(text: str, run: Match) -> Iterator[Hidden]:
    """Latin text that is shown backwards."""
    if not any(override in run[0] for override in OVERRIDES):
        return
    rest = text[run.end() : run.end() + OVERRIDDEN_MOST]
    shown = re.split("[\u202a-\u202e\n]", rest, maxsplit=1)[0]
    is_latin = all(char < "\u0590" for char in shown if char.isalpha())
    if shown and is_latin:
        yield Hidden("bidi-override", (run.start(), run.end() + len(shown)), shown[::-1])
