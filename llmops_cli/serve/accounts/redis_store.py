"""Limits, budgets and cached answers that several gateways share through Redis; and what happens
when it is away.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from typing import Any, cast

from llmops_cli.core.errors import EnvironmentMissing, UsageError
from llmops_cli.gateway_file.config import RedisConfig
from llmops_cli.serve.accounts.budget import Budgets, Reservation, Spent, month_now, refusal
from llmops_cli.serve.accounts.keys import Key
from llmops_cli.serve.accounts.ledger import Charge, Standing, Taken
from llmops_cli.serve.accounts.limits import Counts
from llmops_cli.serve.refusal import Refusal

LOG = logging.getLogger("llmops.gateway")
PATIENCE_S = 0.5
LEASE_S = 60.0
"""What a gateway holds (a stream, a reservation) is forgotten so long after its last sign of
life.
"""
RENEW_S = 15.0
MONTHS_S = 70 * 86_400

_TAKE = """
local t = redis.call('TIME')
local now = tonumber(t[1]) + tonumber(t[2]) / 1e6
local lefts, refused = {}, 0
for i = 1, #KEYS do
  local kind, most, amount = ARGV[3 * i], tonumber(ARGV[3 * i + 1]), tonumber(ARGV[3 * i + 2])
  local left = most
  if kind == 'streams' then
    redis.call('ZREMRANGEBYSCORE', KEYS[i], '-inf', now)
    left = most - redis.call('ZCARD', KEYS[i])
  else
    local row = redis.call('HMGET', KEYS[i], 'left', 'at')
    if row[1] then
      left = math.min(most, tonumber(row[1]) + math.max(0, now - tonumber(row[2])) * most / 60)
    end
  end
  lefts[i] = left
  if refused == 0 and math.min(amount, most) - left > 1e-9 then refused = i end
end
local out = { tostring(refused) }
for i = 1, #KEYS do
  local kind, most, amount = ARGV[3 * i], tonumber(ARGV[3 * i + 1]), tonumber(ARGV[3 * i + 2])
  if refused == 0 then
    lefts[i] = lefts[i] - amount
    if kind == 'streams' then
      redis.call('ZADD', KEYS[i], now + tonumber(ARGV[2]), ARGV[1])
      redis.call('EXPIRE', KEYS[i], 600)
    else
      redis.call('HSET', KEYS[i], 'left', string.format('%.17g', lefts[i]), 'at', string.format('%.6f', now))
      redis.call('EXPIRE', KEYS[i], math.ceil(120 + math.max(0, -lefts[i]) * 60 / most))
    end
  end
  out[i + 1] = string.format('%.17g', lefts[i])
end
return out
"""
_GIVE_BACK = """
local t = redis.call('TIME')
local now = tonumber(t[1]) + tonumber(t[2]) / 1e6
for i = 1, #KEYS do
  local kind, most, amount = ARGV[3 * i], tonumber(ARGV[3 * i + 1]), tonumber(ARGV[3 * i + 2])
  if kind == 'streams' then
    redis.call('ZREM', KEYS[i], ARGV[1])
  else
    local row = redis.call('HMGET', KEYS[i], 'left', 'at')
    if row[1] then
      local left = tonumber(row[1]) + math.max(0, now - tonumber(row[2])) * most / 60 + amount
      redis.call('HSET', KEYS[i], 'left', string.format('%.17g', math.min(most, left)), 'at',
                 string.format('%.6f', now))
      redis.call('EXPIRE', KEYS[i], math.ceil(120 + math.max(0, -left) * 60 / most))
    end
  end
end
return 1
"""
_RESERVE = """
local t = redis.call('TIME')
local now = tonumber(t[1]) + tonumber(t[2]) / 1e6
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now)) do
  redis.call('HDEL', KEYS[3], id)
  redis.call('ZREM', KEYS[2], id)
end
local spent = redis.call('HMGET', KEYS[1], 'dollars', 'tokens')
local dollars, tokens = tonumber(spent[1] or '0'), tonumber(spent[2] or '0')
for _, held in ipairs(redis.call('HVALS', KEYS[3])) do
  local d, n = string.match(held, '(%S+) (%S+)')
  dollars, tokens = dollars + tonumber(d), tokens + tonumber(n)
end
if dollars + tonumber(ARGV[3]) > tonumber(ARGV[5]) + 1e-12 or tokens + tonumber(ARGV[4]) > tonumber(ARGV[6]) then
  return 0
end
redis.call('ZADD', KEYS[2], now + tonumber(ARGV[2]), ARGV[1])
redis.call('HSET', KEYS[3], ARGV[1], ARGV[3] .. ' ' .. ARGV[4])
redis.call('EXPIRE', KEYS[2], ARGV[7])
redis.call('EXPIRE', KEYS[3], ARGV[7])
return 1
"""
_SETTLE = """
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('HDEL', KEYS[3], ARGV[1])
redis.call('HINCRBYFLOAT', KEYS[1], 'dollars', ARGV[2])
redis.call('HINCRBY', KEYS[1], 'tokens', ARGV[3])
redis.call('EXPIRE', KEYS[1], ARGV[4])
return 1
"""
_RENEW = """
local t = redis.call('TIME')
for i = 1, #KEYS do
  redis.call('ZADD', KEYS[i], 'XX', tonumber(t[1]) + tonumber(ARGV[1]), ARGV[i + 1])
end
return 1
"""


class RedisAway(Exception):
    """Redis does not answer."""


class Link:
    """The connection. Once it has failed, nobody waits for it until a ping in the background
    succeeds.
    """

    def __init__(self, config: RedisConfig) -> None:
        try:
            import redis.asyncio as client
            from redis.asyncio.retry import Retry
            from redis.backoff import NoBackoff
            from redis.exceptions import RedisError
        except ImportError as error:
            raise EnvironmentMissing(
                "limits in Redis need its client", hint="pip install 'llmops-cli[redis]'"
            ) from error
        self._failures: tuple[type[Exception], ...] = (
            RedisError,
            OSError,
            TimeoutError,
            asyncio.TimeoutError,
        )
        try:
            self.client = client.Redis.from_url(
                config.url,
                socket_timeout=PATIENCE_S,
                socket_connect_timeout=PATIENCE_S,
                retry=Retry(NoBackoff(), 0),
                max_connections=256,
                health_check_interval=15,
            )
        except ValueError as error:
            raise UsageError(f"redis: {error}", hint="redis://127.0.0.1:6379/0") from error
        self.config = config
        self.up = True
        self._scripts: dict[str, Any] = {}  # Any: the library's scripts
        self._leases: dict[tuple[str, str], None] = {}
        self._task: asyncio.Task[None] | None = None

    def name(self, kind: str, subject: str) -> str:
        """One slot for all keys of a gateway, so that a cluster runs the scripts too."""
        return f"{{{self.config.prefix}}}:{kind}:{subject}"

    async def run(
        self, script: str, keys: list[str], args: Sequence[object]
    ) -> Any:  # Any: what the script returns
        """Raises: RedisAway."""
        found = self._scripts.get(script)
        if found is None:
            found = self._scripts[script] = self.client.register_script(script)
        return await self._tried(found(keys=keys, args=cast("Sequence[str | float]", args)))

    async def get(self, name: str) -> bytes | None:
        return cast("bytes | None", await self._tried(self.client.get(name)))

    async def set(self, name: str, value: bytes, seconds: float) -> None:
        await self._tried(self.client.set(name, value, px=max(1, int(seconds * 1000))))

    async def read(self, name: str) -> dict[bytes, bytes]:
        return cast(
            "dict[bytes, bytes]",
            await self._tried(cast("Awaitable[Any]", self.client.hgetall(name))),
        )

    async def names(self, pattern: str) -> list[str]:
        async def scan() -> list[str]:
            return [key.decode() async for key in self.client.scan_iter(match=pattern, count=500)]

        return cast("list[str]", await self._tried(scan()))

    async def _tried(self, asked: Awaitable[Any]) -> Any:  # Any: the library's answers
        if not self.up:
            if asyncio.iscoroutine(asked):
                asked.close()
            raise RedisAway
        try:
            return await asyncio.wait_for(asked, PATIENCE_S * 2)
        except self._failures as error:
            if self.up:
                LOG.error("Redis is away (%s): %s", type(error).__name__, self.config.when_down)
            self.up = False
            raise RedisAway from error

    # -- signs of life
    # ---------------------------------------------------------------------------------

    def hold(self, name: str, lease: str) -> None:
        self._leases[name, lease] = None

    def drop(self, name: str, lease: str) -> None:
        self._leases.pop((name, lease), None)

    def watch(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._live())

    async def _live(self) -> None:
        renewed = time.monotonic()
        with suppress(RedisAway):
            await self._tried(
                cast("Awaitable[Any]", self.client.ping())
            )  # so that one that is not there is told of
        while True:
            await asyncio.sleep(0.5)
            if not self.up:
                await self._ping()
            elif time.monotonic() - renewed > RENEW_S:
                renewed = time.monotonic()
                await self.renew()

    async def _ping(self) -> None:
        try:
            await asyncio.wait_for(cast("Awaitable[Any]", self.client.ping()), PATIENCE_S)
            await (
                self.client.connection_pool.disconnect()
            )  # those of before the outage are dead, and would say so later
        except self._failures:
            return
        LOG.warning("Redis is back")
        self.up = True

    async def renew(self) -> None:
        held = list(self._leases)
        for i in range(0, len(held), 200):
            some = held[i : i + 200]
            try:
                await self.run(
                    _RENEW, [name for name, _ in some], [LEASE_S, *[lease for _, lease in some]]
                )
            except RedisAway:
                return

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self.client.aclose()


def away(config: RedisConfig) -> None:
    """Raises: Refusal where a gateway may not go on alone."""
    if config.when_down == "refuse":
        raise Refusal(
            503,
            "the limits cannot be checked now",
            code="limits_unavailable",
            headers=[(b"retry-after", b"1")],
        )


class SharedCounts:
    """Buckets in Redis, taken by a script, so that gateways never interleave. `local` counts while
    Redis is away.
    """

    def __init__(self, link: Link, local: Counts) -> None:
        self._link = link
        self._local = local

    async def take(self, charges: Sequence[Charge]) -> Taken:
        lease = secrets.token_hex(8)
        names = [self._link.name(charge.kind, charge.subject) for charge in charges]
        try:
            found = await self._link.run(_TAKE, names, [lease, LEASE_S, *_args(charges)])
        except RedisAway:
            away(self._link.config)
            return await self._local.take(charges)
        refused = int(found[0])
        lefts = [float(each) for each in found[1:]]
        standings = []
        for charge, left in zip(charges, lefts, strict=True):
            missing = max(0.0, min(charge.amount, charge.most) - left) if refused else 0.0
            standings.append(
                Standing(left, 1.0 if charge.kind == "streams" else missing * 60 / charge.most)
            )
        if not refused:
            for charge, name in zip(charges, names, strict=True):
                if charge.kind == "streams":
                    self._link.hold(name, lease)
        return Taken(charges[refused - 1] if refused else None, standings, lease)

    async def give_back(self, charges: Sequence[Charge], lease: str = "") -> None:
        if not lease:
            await self._local.give_back(charges)
            return
        names = [self._link.name(charge.kind, charge.subject) for charge in charges]
        for name in names:
            self._link.drop(name, lease)
        try:
            await self._link.run(_GIVE_BACK, names, [lease, 0, *_args(charges)])
        except RedisAway:
            return  # the lease ends by itself


def _args(charges: Sequence[Charge]) -> list[object]:
    return [part for charge in charges for part in (charge.kind, charge.most, charge.amount)]


class SharedBudgets:
    """Spending in Redis. `local` counts while Redis is away."""

    def __init__(self, link: Link, local: Budgets) -> None:
        self._link = link
        self._local = local

    async def reserve(self, key: Key, dollars: float, tokens: int) -> Reservation:
        month = month_now()
        if key.budget_dollars is None and key.budget_tokens is None:
            return Reservation("", key.id, month)
        name = secrets.token_hex(8)
        most = (
            1e18 if key.budget_dollars is None else key.budget_dollars,
            key.budget_tokens or 1 << 60,
        )
        names = self._names(key.id, month)
        try:
            args = [name, LEASE_S, f"{dollars:.17g}", tokens, *most, MONTHS_S]
            if not await self._link.run(_RESERVE, names, args):
                raise refusal(key, dollars, tokens)
        except RedisAway:
            away(self._link.config)
            return await self._local.reserve(key, dollars, tokens)
        self._link.hold(names[1], name)
        return Reservation(f"redis:{name}", key.id, month)

    async def settle(self, reservation: Reservation, dollars: float, tokens: int) -> None:
        if reservation.id and not reservation.id.startswith("redis:"):
            await self._local.settle(reservation, dollars, tokens)
            return
        if not reservation.id and not dollars and not tokens:
            return
        names = self._names(reservation.key, reservation.month)
        name = reservation.id.removeprefix("redis:")
        self._link.drop(names[1], name)
        try:
            await self._link.run(_SETTLE, names, [name, f"{dollars:.17g}", tokens, MONTHS_S])
        except RedisAway:
            await self._local.settle(reservation._replace(id=""), dollars, tokens)

    def _names(self, key: str, month: str) -> list[str]:
        return [self._link.name(kind, f"{key}:{month}") for kind in ("spend", "leases", "reserved")]

    async def spent(self, month: str) -> dict[str, Spent]:
        """Settled spending of all gateways, and what was written here while Redis was away."""
        found = await self._local.spent(month)
        try:
            for name in await self._link.names(
                self._link.name("spend", f"*:{month}").replace("{", "\\{")
            ):
                row = await self._link.read(name)
                key = name.split(":")[-2]
                alone = found.get(key, Spent(0.0, 0))
                found[key] = Spent(
                    alone.dollars + float(row.get(b"dollars", 0)),
                    alone.tokens + int(row.get(b"tokens", 0)),
                )
        except RedisAway:
            pass
        return found
