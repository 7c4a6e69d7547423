"""What a client says of answers of before: Cache-Control, as HTTP says it (RFC 9111, 5.2.1)."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

_DIRECTIVE = re.compile(
    r"""\s*([!#$%&'*+.^_`|~\w-]+)      # a token
        (?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*)))?   # what it is, quoted or not
        [^,]*(?:,|$)""",
    re.VERBOSE,
)
NAMES = frozenset((b"cache-control", b"x-llmops-cache", b"pragma"))
SECONDS = re.compile(r"[0-9]{1,18}")


class CacheWish(NamedTuple):
    """`reads`: an answer of before will do, `max_age_s` old at most, and good for `min_fresh_s`.

    `keeps`: this answer may be given again. `only`: no answer but one of before is wanted.
    """

    reads: bool = True
    keeps: bool = True
    max_age_s: float = math.inf
    min_fresh_s: float = 0.0
    only: bool = False

    def both(self, other: CacheWish) -> CacheWish:
        """What neither of them forbids."""
        return CacheWish(
            reads=self.reads and other.reads,
            keeps=self.keeps and other.keeps,
            max_age_s=min(self.max_age_s, other.max_age_s),
            min_fresh_s=max(self.min_fresh_s, other.min_fresh_s),
            only=self.only or other.only,
        )


ANY = CacheWish()
BYPASS = CacheWish(reads=False, keeps=False)


def wish_of(headers: Iterable[tuple[bytes, bytes]]) -> CacheWish:
    """Of all lines together. `X-LLMOPS-Cache: bypass` is no-store; Pragma counts if it is alone."""
    found = ANY
    pragma: CacheWish | None = None
    says_control = False
    for name, value in headers:
        if name not in NAMES:
            continue
        if name == b"pragma":
            pragma = (pragma or ANY).both(_wish(value))
        else:
            says_control = says_control or name == b"cache-control"
            found = found.both(_wish(value))
    return found if says_control or pragma is None else found.both(pragma)


def _wish(value: bytes) -> CacheWish:
    found = ANY
    for directive, argument in _directives(value.decode("latin-1")):
        found = found.both(_meaning(directive, argument))
    return found


def _directives(value: str) -> Iterator[tuple[str, str]]:
    for match in _DIRECTIVE.finditer(value):
        argument = match[3] if match[2] is None else match[2]
        yield match[1].lower(), argument or ""


def _meaning(directive: str, argument: str) -> CacheWish:
    """Of one; what is unknown says nothing, as the standard wants it."""
    if directive in ("no-store", "bypass"):
        return BYPASS
    if directive == "no-cache":
        return CacheWish(reads=False)
    if directive == "only-if-cached":
        return CacheWish(only=True)
    if directive == "max-age":
        age_s = _seconds(argument, otherwise=0)
        return CacheWish(reads=age_s > 0, max_age_s=age_s)
    if directive == "min-fresh":
        return CacheWish(min_fresh_s=_seconds(argument, otherwise=math.inf))
    return ANY


def _seconds(text: str, *, otherwise: float) -> float:
    """`otherwise`: of what is no number; then an answer of before is not taken."""
    return float(text) if SECONDS.fullmatch(text) else otherwise
