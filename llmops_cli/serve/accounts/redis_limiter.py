"""Limits that several gateways share: buckets in Redis."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from llmops_cli.serve.accounts.charge import (
    STREAM_WAIT_S,
    BucketState,
    Charge,
    LimitDecision,
    Limiter,
)
from llmops_cli.serve.accounts.redis_link import RedisAway, RedisLink
from llmops_cli.serve.accounts.redis_scripts import GIVE_BACK, TAKE


class RedisLimiter:
    """Taken by a script, so that gateways never interleave. `local` counts while Redis is away."""

    def __init__(self, link: RedisLink, local: Limiter) -> None:
        self._link = link
        self._local = local

    async def take(self, charges: Sequence[Charge]) -> LimitDecision:
        lease = secrets.token_hex(8)
        names = self._names(charges)
        args = [lease, self._link.lease_s, *_args(charges)]
        try:
            answer = await self._link.run(TAKE, names, args)
        except RedisAway:
            self._link.refuse_if_told()
            return await self._local.take(charges)
        number = int(answer[0])  # of the refused charge, from 1 on
        refused = charges[number - 1] if number else None
        buckets = []
        for charge, left in zip(charges, answer[1:], strict=True):
            buckets.append(_state(charge, float(left), is_refused=refused is not None))
        if refused is None:
            self._hold(charges, names, lease)
        return LimitDecision(refused, buckets, lease)

    async def give_back(self, charges: Sequence[Charge], lease: str = "") -> None:
        if not lease:
            await self._local.give_back(charges)
            return
        names = self._names(charges)
        for name in names:
            self._link.drop(name, lease)
        args = [lease, 0, *_args(charges)]
        try:
            await self._link.run(GIVE_BACK, names, args)
        except RedisAway:
            return  # the lease ends by itself

    def _names(self, charges: Sequence[Charge]) -> list[str]:
        return [self._link.name(charge.kind, charge.subject) for charge in charges]

    def _hold(
        self,
        charges: Sequence[Charge],
        names: list[str],
        lease: str,
    ) -> None:
        for charge, name in zip(charges, names, strict=True):
            if charge.kind == "streams":
                self._link.hold(name, lease)


def _state(
    charge: Charge,
    left: float,
    *,
    is_refused: bool,
) -> BucketState:
    if charge.kind == "streams":
        return BucketState(left, STREAM_WAIT_S)
    if not is_refused:
        return BucketState(left, 0.0)
    return BucketState(left, charge.wait_s(left))


def _args(charges: Sequence[Charge]) -> list[object]:
    args: list[object] = []
    for charge in charges:
        args += [charge.kind, charge.most, charge.amount]
    return args
