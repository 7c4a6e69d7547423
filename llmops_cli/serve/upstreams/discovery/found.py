"""What a lookup of members finds, and how it fails."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class MemberAddress(NamedTuple):
    """`url` is asked. `host`: what TLS and the Host header call it; empty: as the url does."""

    url: str
    host: str = ""
    weight: float = 1.0


class Found(NamedTuple):
    """`holds_s`: for how long that may be believed.

    `is_sure`: that nobody is there may be believed at once. `missing`: address families (4, 6) of
    which nothing could be learned, whose members stay.
    """

    members: tuple[MemberAddress, ...]
    holds_s: float
    is_sure: bool = False
    missing: frozenset[int] = frozenset()


class LookupFailed(Exception):
    """Nothing was learned: who was there still is. The words are for the log."""


class MemberSource(Protocol):
    retry_s: float
    """Until the first look after one that failed."""
    retry_most_s: float

    async def find(self) -> Found | None:
        """None: nothing has changed. Raises: LookupFailed."""
        ...
