"""JSON of those who cut texts inside a character: a byte of UTF-8, or a surrogate, alone."""

from __future__ import annotations

import re

ESCAPE = re.compile(
    r"""\\(?:
        u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}  # a pair: one character
      | (?P<alone>u[dD][89a-fA-F][0-9a-fA-F]{2})
      | .
    )""",
    re.VERBOSE | re.DOTALL,
)
REPLACEMENT = r"\ufffd"


def with_whole_characters(raw: bytes) -> str:
    """The same JSON with U+FFFD in the place of what is no character."""
    text = raw.decode(errors="replace")
    return ESCAPE.sub(_mended, text)


def _mended(escape: re.Match[str]) -> str:
    return REPLACEMENT if escape["alone"] else escape[0]
