"""Text as a reader means it: in compatibility form, without characters that nobody sees."""

from __future__ import annotations

import re
import unicodedata

import msgspec

from llmops_cli.core.unicode_forms import ROW_CHARS, with_sorted_marks
from llmops_cli.guard.automata import beside_ascii, without_surrogates
from llmops_cli.guard.invisible import INVISIBLE, Hidden, without_invisible

CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
CONTROL_BYTES = bytes(code for code in range(128) if CONTROL.match(chr(code)))
"""Those of ASCII."""
TYPOGRAPHIC = (
    ("\u2018", "'"),
    ("\u2019", "'"),
    ("\u201c", '"'),
    ("\u201d", '"'),
    ("\u2013", "-"),
    ("\u2014", "-"),
    ("\u2022", "*"),
    ("\u00a0", " "),
    ("\u2026", "."),
)
"""Most texts are ASCII after these, and everything later is ten times faster then."""
ENCLOSED = re.compile("[\U0001f150-\U0001f1ff]")
LETTERS_OF_FLAGS = 0x1F1E6
WHITE_LETTERS = (0x1F150, 0x1F170)
"""In black circles and in black squares."""
ENCLOSED_LETTERS = {
    first + place: chr(ord("A") + place)
    for first in (LETTERS_OF_FLAGS, *WHITE_LETTERS)
    for place in range(26)
}
"""They have no compatibility form."""


class Normal(msgspec.Struct, frozen=True):
    """`text` without invisible characters and in compatibility form, and what was hidden."""

    text: str
    hidden: tuple[Hidden, ...] = ()


def normalise(text: str) -> Normal:
    """Linear in the text. Plain ASCII comes back as it is."""
    if text.isascii():
        return Normal(_without_control(text))
    text = without_surrogates(text)
    others = beside_ascii(text)
    hidden: tuple[Hidden, ...] = ()
    if INVISIBLE.search(others):
        text, hidden = without_invisible(text)
    for typed, plain in TYPOGRAPHIC:
        text = text.replace(typed, plain)
    if text.isascii():
        return Normal(_without_control(text), hidden)
    if ENCLOSED.search(others):
        text = text.translate(ENCLOSED_LETTERS)
    if len(others) >= ROW_CHARS:
        text = with_sorted_marks(text)
    if not unicodedata.is_normalized("NFKC", text):
        text = unicodedata.normalize("NFKC", text)
    return Normal(_without_control(text), hidden)


def _without_control(text: str) -> str:
    if text.isascii():
        raw = text.encode()
        plain = raw.translate(None, CONTROL_BYTES)
        return text if len(plain) == len(raw) else plain.decode()
    raw = text.encode()
    is_plain = len(raw.translate(None, CONTROL_BYTES)) == len(raw)
    if is_plain and not CONTROL.search(beside_ascii(text)):
        return text
    return CONTROL.sub("", text)
