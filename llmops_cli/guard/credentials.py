"""Secrets: keys in their providers' forms, and values that look drawn by chance."""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections import Counter

from llmops_cli.guard.context import Match, Span, whole

PLACEHOLDER = re.compile(
    r"(?i)^(?:[*x•.\-_#?]+|<.*|\$.*|\{.*|%.*|\[.*"
    r"|your.*|my.*|example.*|change.?me.*|placeholder.*"
    r"|none|null|nil|true|false|undefined|required|redacted|hidden|secret|password|todo"
    r"|os\..*|env\..*|process\..*|config.*|settings.*|self\..*|[\w.]+\(.*"
    r"|string|str|int|test|dummy|sample|default|hashed|encrypted"
    r"|incorrect|correct|wrong|invalid|valid|missing|empty)$"
)
"""What stands where a secret would."""
PASSWORD = re.compile("(?i)pass|pwd|kennwort|contrase|senha|wachtwoord|пароль|密码")
ASSIGNMENTS = (":", "=", "=>", ":=")
TRAILING = ".,;:!?)\"'`"


def entropy(text: str) -> float:
    """Bits per character, of the characters' own frequencies."""
    shares = [count / len(text) for count in Counter(text).values()]
    return -sum(share * math.log2(share) for share in shares)


def assigned(found: Match) -> Span | None:
    """`password = VALUE`, `my password is VALUE`: no placeholder, and drawn by chance."""
    value = found["value"].rstrip(TRAILING)
    is_placeholder = PLACEHOLDER.match(value) or PLACEHOLDER.match(found["value"])
    if value.endswith("}") or is_placeholder:
        return None
    is_spoken = found["sign"].strip() not in ASSIGNMENTS
    if PASSWORD.search(found["key"]):
        is_strong = _is_password(value, is_spoken=is_spoken)
    else:
        is_strong = _is_key(value, is_spoken=is_spoken)
    if not is_strong:
        return None
    start = found.start("value")
    return start, start + len(value)


def _is_password(value: str, *, is_spoken: bool) -> bool:
    classes = _classes(value)
    if len(value) < 6 or classes < 2 or value.isalpha():
        return False
    return not is_spoken or classes >= 3 or len(value) >= 8


def _is_key(value: str, *, is_spoken: bool) -> bool:
    if len(value) < (20 if is_spoken else 16) or not any(map(str.isdigit, value)):
        return False
    return _classes(value) >= 2 and entropy(value) >= 3


def url_password(found: Match) -> Span | None:
    """The password in a URL, unless a placeholder stands there."""
    return None if PLACEHOLDER.match(found["value"]) else found.span("value")


def jwt(found: Match) -> Span | None:
    """A JSON web token, by its header."""
    head = found[0].partition(".")[0]
    try:
        raw = base64.urlsafe_b64decode(head + "=" * (-len(head) % 4))
    except (binascii.Error, ValueError):
        return None
    return found.span() if b'"alg"' in raw else None


def mixed(found: Match) -> Span | None:
    """A key's form, and not a word that looks like it."""
    start, end = whole(found) or found.span()
    body = found.string[start:end]
    if any(map(str.isdigit, body)) or _classes(body) >= 3 or entropy(body) > 3.5:
        return start, end
    return None


def _classes(value: str) -> int:
    """How many of small letters, capitals, digits and signs it has."""
    tests = (str.islower, str.isupper, str.isdigit)
    found = sum(any(test(char) for char in value) for test in tests)
    return found + (not value.isalnum())
