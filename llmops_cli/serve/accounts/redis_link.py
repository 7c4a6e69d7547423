"""The connection to a Redis that several gateways share, and what happens when it is away."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from typing import Any, cast

from llmops_cli.core.errors import EnvironmentMissing, UsageError
from llmops_cli.gateway_file.config import RedisConfig
from llmops_cli.serve.accounts.redis_scripts import RENEW
from llmops_cli.serve.refusal import Refusal

LOG = logging.getLogger("llmops.gateway")
PATIENCE_S = 0.5
LEASE_S = 60.0
"""What a gateway holds (a stream, a reservation) ends so long after its last sign of life."""
RENEW_S = 15.0
LOOK_S = 0.5
RENEWED_AT_ONCE = 200
SCANNED = 1000


class RedisAway(Exception):
    """Redis does not answer."""


class RedisLink:
    """Once it has failed, nobody waits for it until a ping in the background succeeds."""

    def __init__(
        self,
        config: RedisConfig,
        *,
        lease_s: float = LEASE_S,
        patience_s: float = PATIENCE_S,
    ) -> None:
        """Raises: EnvironmentMissing without the client; UsageError for a bad address."""
        self.config = config
        self.lease_s = lease_s
        self._patience_s = patience_s
        self.up = True
        self.client, self._failures = _client(config.url, patience_s)
        self._scripts: dict[str, Any] = {}  # Any: the library's scripts
        self._leases: dict[tuple[str, str], None] = {}
        self._task: asyncio.Task[None] | None = None

    def name(self, kind: str, subject: str) -> str:
        """One slot for all keys of a gateway, so that a cluster runs the scripts too."""
        return f"{{{self.config.prefix}}}:{kind}:{subject}"

    # What it is asked. Each raises RedisAway.

    async def run(
        self,
        script: str,
        keys: list[str],
        args: Sequence[object],
    ) -> Any:  # Any: what the script returns
        found = self._scripts.get(script)
        if found is None:
            found = self.client.register_script(script)
            self._scripts[script] = found
        return await self._tried(found(keys=keys, args=args))

    async def get(self, name: str) -> bytes | None:
        value = await self._tried(self.client.get(name))
        return cast("bytes | None", value)

    async def set(
        self,
        name: str,
        value: bytes,
        seconds: float,
    ) -> None:
        milliseconds = max(1, int(seconds * 1000))
        await self._tried(self.client.set(name, value, px=milliseconds))

    async def hashes(self, pattern: str) -> dict[str, dict[bytes, bytes]]:
        """All whose name fits.

        In steps, each with the patience of one question: there may be thousands among a million.
        """
        found: dict[str, dict[bytes, bytes]] = {}
        cursor = 0
        while True:
            scanned = await self._tried(self.client.scan(cursor, match=pattern, count=SCANNED))
            cursor, raw = cast("tuple[int, list[bytes]]", scanned)
            names = [name.decode() for name in raw]
            found |= dict(zip(names, await self._read(names), strict=True))
            if not cursor:
                return found

    async def _read(self, names: list[str]) -> list[dict[bytes, bytes]]:
        if not names:
            return []
        asked = self.client.pipeline(transaction=False)
        for name in names:
            asked.hgetall(name)
        return cast("list[dict[bytes, bytes]]", await self._tried(asked.execute()))

    async def _tried(self, asked: Awaitable[Any]) -> Any:  # Any: the library's answers
        if not self.up:
            if asyncio.iscoroutine(asked):
                asked.close()
            raise RedisAway
        try:
            return await asyncio.wait_for(asked, self._patience_s * 2)
        except self._failures as error:
            if self.up:
                LOG.error("Redis is away (%s): %s", type(error).__name__, self.config.when_down)
            self.up = False
            raise RedisAway from error

    # Signs of life.

    def hold(self, name: str, lease: str) -> None:
        self._leases[name, lease] = None

    def drop(self, name: str, lease: str) -> None:
        self._leases.pop((name, lease), None)

    def watch(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._live())

    async def _live(self) -> None:
        with suppress(RedisAway):  # so that one that is not there from the start is told of
            await self._tried(self.client.ping())
        renewed = time.monotonic()
        while True:
            await asyncio.sleep(LOOK_S)
            if not self.up:
                await self._ping()
            elif time.monotonic() - renewed > RENEW_S:
                renewed = time.monotonic()
                await self.renew()

    async def _ping(self) -> None:
        try:
            await asyncio.wait_for(self.client.ping(), self._patience_s)
            # Connections of before the outage are dead, and would say so later.
            await self.client.connection_pool.disconnect()
        except self._failures:
            return
        LOG.warning("Redis is back")
        self.up = True

    async def renew(self) -> None:
        held = list(self._leases)
        for start in range(0, len(held), RENEWED_AT_ONCE):
            some = held[start : start + RENEWED_AT_ONCE]
            names = [name for name, _ in some]
            leases = [lease for _, lease in some]
            try:
                await self.run(RENEW, names, [self.lease_s, *leases])
            except RedisAway:
                return

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self.client.aclose()

    def refuse_if_told(self) -> None:
        """Raises: Refusal where a gateway may not go on without Redis."""
        if self.config.when_down == "refuse":
            raise Refusal(
                503,
                "the limits cannot be checked now",
                code="limits_unavailable",
                headers=[(b"retry-after", b"1")],
            )


RedisErrors = tuple[type[Exception], ...]


def _client(url: str, patience_s: float) -> tuple[Any, RedisErrors]:  # Any: an optional library's
    """A client, and what it raises when Redis is away."""
    try:
        import redis.asyncio as library
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
        from redis.exceptions import RedisError
    except ImportError as error:
        raise EnvironmentMissing(
            "limits in Redis need its client",
            hint="pip install 'llmops-cli[redis]'",
        ) from error
    try:
        client = library.Redis.from_url(
            url,
            socket_timeout=patience_s,
            socket_connect_timeout=patience_s,
            retry=Retry(NoBackoff(), 0),
            max_connections=256,
            health_check_interval=15,
        )
    except ValueError:  # whose words may hold a part of the password
        raise UsageError(
            "redis: that is no address of Redis", hint="redis://127.0.0.1:6379/0"
        ) from None
    return client, (RedisError, OSError, TimeoutError, asyncio.TimeoutError)
