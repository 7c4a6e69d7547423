"""Characters that nobody sees: what they are for, and what was hidden in them.

Joiners and variation selectors belong to Persian, Hindi, Malayalam and emoji; there they stay
without a word. Elsewhere they are dropped, and a message that they carry is a finding.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from typing import NamedTuple

import msgspec

Match = re.Match[str]

JOINERS = "\u200c\u200d"
_CHARS = (
    "["
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e"
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb"
    "\U0001d173-\U0001d17a\U000e0000-\U000e007f\U000e0100-\U000e01ef"
    "]"
)
INVISIBLE = re.compile(f"{_CHARS}+")
LONG_RUN = re.compile(f"{_CHARS}{{3,}}")
RUNS_MOST = 2000
"""Of a text that are looked at one by one. Of what follows only long ones may carry a message."""
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
NOT_BITS = re.compile("[^01]+")
CHARS = {f"{code:0{width}b}": chr(code) for width in (7, 8) for code in range(1 << width)}
WORDS_SHARE = 0.8
"""Letters, digits and spaces in what zero-width bits say, if it is text."""
SPLIT_WORDS = 3
SPLIT_RULE = "split-words"
SHOWN = re.compile("[^\u202a-\u202e\n]{1,200}")
HIDDEN_MOST = 16
"""Messages and tricks of a text that are looked for: each is enough."""
PLACES = 4096
"""Characters with their neighbours whose use is remembered."""
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
    runs = list(islice(INVISIBLE.finditer(text), RUNS_MOST))
    hidden: list[Hidden] = []
    splits: list[int] = []
    parts = []
    end = 0
    for run in runs:
        parts.append(text[end : run.start()])
        end = run.end()
        before = text[run.start() - 1 : run.start()]
        after = text[end : end + 1]
        use = (
            _use(run[0], before, after)
            if end - run.start() == 1
            else _use_of(run[0], before, after)
        )
        parts.append(use.kept)
        if use.splits_word:
            splits.append(run.start())
        if use.is_needed or len(hidden) >= HIDDEN_MOST:
            continue
        if use.message:
            hidden.append(Hidden(_carrier(run[0]), run.span(), use.message))
        hidden += _overridden(text, run)
    parts.append(INVISIBLE.sub("", text[end:]))
    hidden += islice(_long_messages(text, end), HIDDEN_MOST)
    if not hidden:
        hidden += _spread(text)
    hidden += _split_words(splits)
    return "".join(parts), tuple(hidden)


class _Use(NamedTuple):
    """What characters that nobody sees do in their place.

    `kept`: what stays of them. `message`: what they carry.
    """

    is_needed: bool
    kept: str = ""
    message: str = ""
    splits_word: bool = False


def _use_of(
    run: str,
    before: str,
    after: str,
) -> _Use:
    if _belongs(run, before, after):
        return _Use(is_needed=True, kept=_kept(run))
    message = _message(run)
    if message and not _is_flag(before, run):
        return _Use(is_needed=False, message=message)
    return _Use(is_needed=False, splits_word=_splits_word(run, before, after))


_use = lru_cache(PLACES)(_use_of)
"""Of a single character."""


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


def _long_messages(text: str, start: int) -> Iterator[Hidden]:
    """Those in what stands behind the first RUNS_MOST."""
    for run in islice(LONG_RUN.finditer(text, start), RUNS_MOST):
        before = text[run.start() - 1 : run.start()]
        use = _use_of(run[0], before, text[run.end() : run.end() + 1])
        if use.message:
            yield Hidden(_carrier(run[0]), run.span(), use.message)


def _spread(text: str) -> Iterator[Hidden]:
    """A message in bits that stand one by one over the whole text."""
    message = _bits("".join(INVISIBLE.findall(text)))
    if message:
        yield Hidden("zero-width-bits", (0, len(text)), message)


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
    """The first word of its name; empty for what has none, as a line break."""
    name = unicodedata.name(char, "") if char else ""
    return name.partition(" ")[0].title()


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
    if len(run) < CARRIED_LEAST:
        return ""
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
    if len(run) < BITS_LEAST:
        return ""
    kinds = sorted(BITS.intersection(run))
    if len(kinds) not in (2, 3):
        return ""
    for zero, one in ((kinds[0], kinds[1]), (kinds[1], kinds[0])):
        bits = NOT_BITS.sub("", run.translate({ord(zero): "0", ord(one): "1"}))
        if len(bits) < BITS_LEAST:
            continue
        for width in (8, 7):
            found = _chars(bits, width)
            if _is_text(found):
                return found
    return ""


def _chars(bits: str, width: int) -> str:
    starts = range(0, len(bits) - width + 1, width)
    return "".join([CHARS[bits[start : start + width]] for start in starts])


def _is_text(found: str) -> bool:
    if not found.isprintable():
        return False
    return sum(char.isalnum() or char == " " for char in found) > WORDS_SHARE * len(found)


def _overridden(text: str, run: Match) -> Iterator[Hidden]:
    """Latin text that is shown backwards."""
    if not any(override in run[0] for override in OVERRIDES):
        return
    found = SHOWN.match(text, run.end())
    shown = found[0] if found else ""
    is_latin = all(char < "\u0590" for char in shown if char.isalpha())
    if shown and is_latin:
        yield Hidden("bidi-override", (run.start(), run.end() + len(shown)), shown[::-1])
