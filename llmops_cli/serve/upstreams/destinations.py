"""Which upstreams may see what a request says: decided once, before the first of them is opened."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec


class Destinations(msgspec.Struct, frozen=True):
    """Upstreams by name; None: all of them."""

    names: frozenset[str] | None = None

    @property
    def is_bound(self) -> bool:
        """Whether a rule keeps the request from some upstream."""
        return self.names is not None

    def allows(self, upstream: str) -> bool:
        return self.names is None or upstream in self.names

    def within(self, other: Destinations) -> Destinations:
        """What both allow."""
        if self.names is None:
            return other
        if other.names is None:
            return self
        return Destinations(self.names & other.names)


def only(names: Iterable[str]) -> Destinations:
    return Destinations(frozenset(names))


ANYWHERE = Destinations()
NOWHERE = only(())
"""Of a request for which nothing is decided yet: nobody may see it."""
