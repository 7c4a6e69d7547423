"""What `format` holds a text to, as patterns: for texts with a length, and for listed ones."""

import re
from datetime import date, datetime, time

from _shared.grammars.nodes import GrammarError
from _shared.grammars.patterns import Pattern
from _shared.grammars.texts import WRITABLE

DATE = r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])"
"""To the 28th: every month has it."""
TIME = r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{3})?"
OFFSET = r"(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
BYTE = r"(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
SOURCES = {
    "date": DATE,
    "time": TIME + OFFSET,
    "date-time": f"{DATE}T{TIME}{OFFSET}",
    "ipv4": rf"{BYTE}(\.{BYTE}){{3}}",
    "email": r"[a-z0-9]{1,32}@[a-z0-9]{1,32}(\.[a-z0-9]{1,32}){1,3}",
    "uuid": r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}",
}
"""Other formats are notes, as JSON Schema has it."""
READERS = {
    "date": date.fromisoformat,
    "time": time.fromisoformat,
    "date-time": datetime.fromisoformat,
}
SHAPES = {
    "date": r"\d{4}-\d\d-\d\d",
    "time": rf"\d\d:\d\d:\d\d(\.\d+)?{OFFSET}",
    "date-time": rf"\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?{OFFSET}",
    "email": r"[^@\s]+@[^@\s]+",
}
"""Of listed texts, which may be any that are right, not only those that are written here."""


def pattern_of(name: str) -> Pattern:
    return Pattern(f"^{SOURCES[name]}$", writable=WRITABLE)


def has_format(text: str, name: str) -> bool:
    """Raises: GrammarError if nothing is known of it."""
    if name not in SOURCES:
        raise GrammarError(f"format: {name} beside enum or const is not supported")
    if re.fullmatch(SHAPES.get(name, SOURCES[name]), text, re.ASCII) is None:
        return False
    reader = READERS.get(name)
    if reader is None:
        return True
    try:
        reader(text)
    except ValueError:
        return False
    return True
