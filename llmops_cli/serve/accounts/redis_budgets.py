"""Budgets that several gateways share: spending in Redis."""

from __future__ import annotations

import secrets

from llmops_cli.serve.accounts.budget import (
    Budgets,
    Reservation,
    Spending,
    budget_of,
    month_now,
    refusal,
)
from llmops_cli.serve.accounts.keys import Key
from llmops_cli.serve.accounts.redis_link import RedisAway, RedisLink
from llmops_cli.serve.accounts.redis_scripts import RESERVE, SETTLE

MONTHS_S = 70 * 86_400
"""A month is kept until after the end of the next."""
KINDS = ("spend", "leases", "reserved")
HERE = "redis:"
"""Reservations with this prefix are kept in Redis, others by the local budgets."""


class RedisBudgets:
    """`local` counts while Redis is away."""

    def __init__(self, link: RedisLink, local: Budgets) -> None:
        self._link = link
        self._local = local

    async def reserve(
        self,
        key: Key,
        dollars: float,
        tokens: int,
    ) -> Reservation:
        month = month_now()
        budget = budget_of(key)
        if budget is None:
            return Reservation("", key.id, month)
        name = secrets.token_hex(8)
        names = self._names(key.id, month)
        wanted = (f"{dollars:.17g}", tokens)
        try:
            fits = await self._link.run(
                RESERVE, names, [name, self._link.lease_s, *wanted, *budget, MONTHS_S]
            )
        except RedisAway:
            self._link.refuse_if_told()
            return await self._local.reserve(key, dollars, tokens)
        if not fits:
            raise refusal(key, dollars, tokens)
        self._link.hold(names[1], name)
        return Reservation(f"{HERE}{name}", key.id, month)

    async def settle(
        self,
        reservation: Reservation,
        dollars: float,
        tokens: int,
    ) -> None:
        if reservation.id and not reservation.id.startswith(HERE):
            await self._local.settle(reservation, dollars, tokens)
            return
        if not reservation.id and not dollars and not tokens:
            return
        names = self._names(reservation.key, reservation.month)
        name = reservation.id.removeprefix(HERE)
        self._link.drop(names[1], name)
        try:
            await self._link.run(SETTLE, names, [name, f"{dollars:.17g}", tokens, MONTHS_S])
        except RedisAway:
            alone = reservation._replace(id="")
            await self._local.settle(alone, dollars, tokens)

    async def spent(self, month: str) -> dict[str, Spending]:
        """Settled spending of all gateways, and what was written here while Redis was away."""
        found = await self._local.spent(month)
        pattern = self._link.name("spend", f"*:{month}")
        pattern = pattern.replace("{", "\\{")
        try:
            rows = await self._link.hashes(pattern)
            for name, row in rows.items():
                key = name.split(":")[-2]
                shared = _spending(row)
                found[key] = shared.plus(found.get(key, Spending()))
        except RedisAway:
            pass
        return found

    def _names(self, key: str, month: str) -> list[str]:
        """Of what is spent, of the leases, and of what is reserved."""
        subject = f"{key}:{month}"
        return [self._link.name(kind, subject) for kind in KINDS]


def _spending(row: dict[bytes, bytes]) -> Spending:
    dollars = float(row.get(b"dollars", 0))
    tokens = int(row.get(b"tokens", 0))
    return Spending(dollars, tokens)
