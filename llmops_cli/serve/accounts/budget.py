"""Budgets in dollars and tokens, of a key and a month (UTC).

What a request can cost is reserved before it and settled after it. What is settled plus what is
reserved never passes the budget, so it can be overshot only by what one answer costs more than was
reserved for it.
"""

from __future__ import annotations

import time
from functools import lru_cache
from typing import NamedTuple, Protocol

from llmops_cli.serve.accounts.keys import Key
from llmops_cli.serve.refusal import Refusal

MONTH = "%Y-%m"
NO_BOUND_DOLLARS = 1e18
NO_BOUND_TOKENS = 1 << 60


class Spending(NamedTuple):
    """Of one key in one month: settled and reserved together."""

    dollars: float = 0.0
    tokens: int = 0

    def plus(self, other: Spending) -> Spending:
        return Spending(self.dollars + other.dollars, self.tokens + other.tokens)


class Reservation(NamedTuple):
    """`id` is empty for a key without a budget.

    Then nothing was reserved, but what is spent is still counted.
    """

    id: str
    key: str
    month: str


class Budgets(Protocol):
    """Where spending is kept: the database, or Redis."""

    async def reserve(
        self,
        key: Key,
        dollars: float,
        tokens: int,
    ) -> Reservation:
        """Raises: Refusal (429, insufficient_quota)."""
        ...

    async def settle(
        self,
        reservation: Reservation,
        dollars: float,
        tokens: int,
    ) -> None: ...

    async def spent(self, month: str) -> dict[str, Spending]:
        """By key id."""
        ...


def budget_of(key: Key) -> Spending | None:
    """The most that a key may spend in a month; None if it may spend all that it likes."""
    if key.budget_dollars is None and key.budget_tokens is None:
        return None
    dollars = NO_BOUND_DOLLARS if key.budget_dollars is None else key.budget_dollars
    return Spending(dollars, key.budget_tokens or NO_BOUND_TOKENS)


def refusal(
    key: Key,
    dollars: float,
    tokens: int,
) -> Refusal:
    """What a request may cost does not fit into what is left."""
    if key.budget_dollars is not None:
        wanted = f"${dollars:.4g}"
        budget = f"${key.budget_dollars:.4g}"
    else:
        wanted = f"{tokens:,} tokens"
        budget = f"{key.budget_tokens:,} tokens"
    return Refusal(
        429,
        f"this request may cost {wanted}, more than is left of the key's {budget} this month;"
        " a smaller max_tokens costs less",
        code="insufficient_quota",
        headers=[(b"x-should-retry", b"false")],
    )


def month_now() -> str:
    minute = int(time.time()) // 60
    return _month(minute)


@lru_cache(1)
def _month(minute: int) -> str:
    return time.strftime(MONTH, time.gmtime(minute * 60))
