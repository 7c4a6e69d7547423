"""Text as a reader means it: compatibility forms, look-alikes, invisible characters, and what was
hidden in them.

Joiners and variation selectors belong to Persian, Hindi, Malayalam and emoji; there they stay
without a word. Elsewhere they are dropped, and a message that they carry is a finding.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

import msgspec

from llmops_cli.guard.confusables import LATIN

JOINERS = "\u200c\u200d"
INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U0001d173-\U0001d17a\U000e0000-\U000e007f\U000e0100-\U000e01ef]+"
)
CARRIED_LEAST = 2
"""Characters: fewer are no message."""
BITS_LEAST = 16
SPLIT_WORDS = 3
OVERRIDDEN_MOST = 200
FLAG = re.compile("[a-z]{2}[a-z0-9]{1,3}")
SPACES_APART = frozenset(["Thai", "Lao", "Khmer", "Myanmar"])
"""Scripts that write no spaces, where zero-width space says where a line may break."""
BLACK_FLAG = "\U0001f3f4"
CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


class Hidden(msgspec.Struct, frozen=True):
    """A message, or a trick, in characters that nobody sees. `span` is in the text as it came."""

    rule: str
    span: tuple[int, int]
    text: str


class Normal(msgspec.Struct, frozen=True):
    """`text` without invisible characters and in compatibility form, and what was hidden."""

    text: str
    hidden: tuple[Hidden, ...] = ()


def normalise(text: str) -> Normal:
    """Linear in the text. Plain ASCII comes back as it is."""
    if text.isascii():
        return Normal(CONTROL.sub("", text)) if CONTROL.search(text) else Normal(text)
    hidden: list[Hidden] = []
    if INVISIBLE.search(text):
        text = _without_invisible(text, hidden)
    for (
        typed,
        plain,
    ) in TYPOGRAPHIC:  # most texts are ASCII then, and everything after is ten times faster
        text = text.replace(typed, plain)
    if text.isascii():
        return Normal(CONTROL.sub("", text), tuple(hidden))
    text = text.translate(REGIONAL) if ENCLOSED.search(text) else text
    if not unicodedata.is_normalized("NFKC", text):
        text = unicodedata.normalize("NFKC", text)
    return Normal(CONTROL.sub("", text), tuple(hidden))


TYPOGRAPHIC = tuple(
    zip("\u2018\u2019\u201c\u201d\u2013\u2014\u2022\u00a0\u2026", "''\"\"--* .", strict=True)
)
ENCLOSED = re.compile("[\U0001f150-\U0001f1ff]")
REGIONAL = {0x1F1E6 + i: chr(ord("A") + i) for i in range(26)}
REGIONAL |= {base + i: chr(ord("A") + i) for base in (0x1F150, 0x1F170) for i in range(26)}
"""Letters in flags, and white letters in black circles and squares, which have no compatibility
form.
"""


def _without_invisible(text: str, hidden: list[Hidden]) -> str:
    parts = []
    end = 0
    split = []
    runs = list(INVISIBLE.finditer(text))
    zero_width = "".join(run[0] for run in runs)
    for run in runs:
        start = run.start()
        parts.append(text[end:start])
        before = text[start - 1] if start else ""
        after = text[run.end()] if run.end() < len(text) else ""
        kept = _belongs(run[0], before, after)
        if kept:
            parts.append(run[0] if JOINERS[0] in run[0] or JOINERS[1] in run[0] else "")
        else:
            message = _carried(run[0])
            if message and not _is_flag(before, run[0]):
                hidden.append(Hidden(_carrier(run[0]), run.span(), message))
            elif _is_latin(before) and _is_latin(after) and "\u00ad" not in run[0]:
                split.append(run.start())
            if "\u202e" in run[0] or "\u202d" in run[0]:
                hidden += _overridden(text, run)
        end = run.end()
    parts.append(text[end:])
    if not hidden and (message := _bits(zero_width)):
        hidden.append(Hidden("zero-width-bits", (runs[0].start(), runs[-1].end()), message))
    if len(split) >= SPLIT_WORDS:
        hidden.append(
            Hidden("split-words", (split[0], split[-1] + 1), f"{len(split)} words are split")
        )
    return "".join(parts)


def _belongs(run: str, before: str, after: str) -> bool:
    """Whether these characters do in this place what they are for."""
    if len(run) == 1:
        if run in JOINERS:
            joining = _joins(before) and (_joins(after) or not after.isalnum())
            return joining or (run == "\u200d" and _is_emoji(before))
        if run == "\u200b":
            return _script(before) in SPACES_APART or not _is_latin(before) or not _is_latin(after)
        return run not in "\u202a\u202b\u202d\u202e" and not (
            _is_latin(before) and _is_latin(after)
        )
    if run.strip("\ufe0e\ufe0f\u200d") == "":
        return _is_emoji(before) or before in "0123456789#*"
    return set(run) <= set(
        "\u200e\u200f\u061c\u200c\u200d\u2066\u2067\u2068\u2069\ufeff"
    ) and not _is_latin(before)


def _joins(char: str) -> bool:
    """Letters of scripts whose letters join: Arabic to Thai, Mongolian, and the Arabic forms."""
    return bool(char) and (
        "\u0600" <= char <= "\u109f" or "\u1780" <= char <= "\u18af" or "\ufb50" <= char <= "\ufefc"
    )


def _is_emoji(char: str) -> bool:
    return bool(char) and (
        unicodedata.category(char) in ("So", "Sk", "Sm") or char in "\ufe0f\u200d"
    )


def _is_latin(char: str) -> bool:
    return char.isalpha() and char < "\u0250"


def _script(char: str) -> str:
    return unicodedata.name(char, " ").split()[0].title() if char else ""


def _carrier(run: str) -> str:
    first = next((char for char in run if char not in JOINERS), run[0])
    if first >= "\U000e0100" or "\ufe00" <= first <= "\ufe0f":
        return "variation-selectors"
    return "tag-characters" if first >= "\U000e0000" else "zero-width-bits"


def _is_flag(before: str, run: str) -> bool:
    """England's, Scotland's and their like are spelled in tags after a black flag."""
    tags = "".join(chr(ord(char) - 0xE0000) for char in run if char >= "\U000e0020")
    return before == BLACK_FLAG and tags.endswith("\x7f") and bool(FLAG.fullmatch(tags[:-1]))


def _carried(run: str) -> str:
    """The message of tag characters, variation selectors (each a byte) or zero-width bits; empty if
    there is none.
    """
    tags = "".join(chr(ord(char) - 0xE0000) for char in run if "\U000e0020" <= char <= "\U000e007e")
    if len(tags) >= CARRIED_LEAST:
        return tags
    octets = bytes(_selector(char) for char in run if _selector(char) >= 0)
    if len(octets) >= CARRIED_LEAST + 1:
        return octets.decode("utf-8", errors="replace")
    return _bits(run)


def _selector(char: str) -> int:
    if "\ufe00" <= char <= "\ufe0f":
        return ord(char) - 0xFE00
    return ord(char) - 0xE0100 + 16 if "\U000e0100" <= char <= "\U000e01ef" else -1


def _bits(run: str) -> str:
    """Two kinds of zero-width characters as zeros and ones, whichever way gives text."""
    signs = [
        char for char in run if char in "\u200b\u200c\u200d\u2060\u2061\u2062\u2063\u2064\ufeff"
    ]
    kinds = sorted(set(signs))
    if len(signs) < BITS_LEAST or len(kinds) not in (2, 3):
        return ""
    for zero, one in ((kinds[0], kinds[1]), (kinds[1], kinds[0])):
        bits = "".join("0" if char == zero else "1" for char in signs if char in (zero, one))
        for width in (8, 7):
            octets = [int(bits[i : i + width], 2) for i in range(0, len(bits) - width + 1, width)]
            found = "".join(map(chr, octets))
            if found.isprintable() and sum(
                char.isalnum() or char == " " for char in found
            ) > 0.8 * len(found):
                return found
    return ""


def _overridden(text: str, run: re.Match[str]) -> Iterator[Hidden]:
    """Latin text that is shown backwards."""
    said = re.split("[\u202a-\u202e\n]", text[run.end() : run.end() + OVERRIDDEN_MOST], maxsplit=1)[
        0
    ]
    stop = run.end() + len(said)
    if said and all(char < "\u0590" for char in said if char.isalpha()):
        yield Hidden("bidi-override", (run.start(), stop), said[::-1])


class _Table(dict[int, str | None]):
    """What is not a letter, mark or digit becomes a space, when it is first met."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        found = char if unicodedata.category(char)[0] in "LNM" else " "
        self[code] = found
        return found


def _table() -> _Table:
    table = _Table()
    for code in range(128):
        char = chr(code)
        table[code] = char.lower() if char.isalnum() else " "
    for char in "'`\u2018\u2019\u02bc\u00b4\u00ad\u200c\u200d":
        table[ord(char)] = None
    for code in (*range(0xC0, 0x250), *range(0x1E00, 0x1F00)):
        base = "".join(
            c for c in unicodedata.normalize("NFKD", chr(code)) if not unicodedata.combining(c)
        ).lower()
        table[code] = base if base.isalnum() else chr(code).lower()
    for code in range(0x300, 0x370):
        table[code] = None
    table |= {
        ord("ß"): "ss",
        ord("æ"): "ae",
        ord("ø"): "o",
        ord("ł"): "l",
        ord("đ"): "d",
        0x131: "i",
    }
    return table


TABLE = _table()
LOOKALIKES = _Table({**TABLE, **LATIN})


def skeleton(text: str) -> str:
    """Lower-case words with one space between and around them: no accents, apostrophes or
    punctuation.
    """
    if not text.isascii():
        text = text.lower()
    return f" {' '.join(text.translate(TABLE).split())} "


def lookalike_skeleton(text: str) -> str | None:
    """The same with look-alikes of other scripts read as Latin letters; None if there are none."""
    if text.isascii() or not LATIN.keys() & set(map(ord, text)):
        return None
    return f" {' '.join(text.translate(LOOKALIKES).split())} "
