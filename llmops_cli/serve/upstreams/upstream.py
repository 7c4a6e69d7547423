"""One upstream: its origin, whether it may be asked (breaker, health, rest), and what it has to
do.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable

import msgspec

from llmops_cli.gateway_file.upstream import TimeoutsConfig, UpstreamConfig
from llmops_cli.serve.upstreams.connection import Origin, Reply, UpstreamError

CHECK_S = 5.0
CHECK_DOWN_S = 1.0
CHECKS_FAILED = 3
REST_MOST_S = 60.0
CHECK_TIMEOUTS = TimeoutsConfig(connect_s=2.0, first_byte_s=5.0, between_s=5.0, total_s=5.0)


class Breaker:
    """Closed, open, half open. It opens after `in_row` failures in a row, or when half of `many` in
    ten seconds fail; an open one lets a single probe through after a pause that doubles each time,
    up to a minute.
    """

    IN_ROW = 5
    MANY = 20
    WINDOW_S = 10.0
    FIRST_S = 1.0
    MOST_S = 60.0

    def __init__(
        self, *, now: Callable[[], float] = time.monotonic, seed: int | None = None
    ) -> None:
        self._now = now
        self._random = random.Random(seed)
        self.state = "closed"
        self._row = 0
        self._asked = 0
        self._failed = 0
        self._window = now()
        self._until = 0.0
        self._pause_s = self.FIRST_S
        self._probing = False

    def allows(self) -> bool:
        if self.state == "closed":
            return True
        return not self._probing and self._now() >= self._until

    def opens_in_s(self) -> float:
        return max(0.0, self._until - self._now()) if self.state != "closed" else 0.0

    def begin(self) -> None:
        """A request goes out."""
        if self.state != "closed":
            self.state = "half open"
            self._probing = True

    def succeeded(self) -> None:
        self._count(failed=False)
        if self.state == "open" and not self._probing:
            return  # an answer to what was asked before it opened
        self._row = 0
        self._probing = False
        if self.state != "closed":
            self.state = "closed"
            self._pause_s = self.FIRST_S
            self._asked = self._failed = 0

    def failed(self) -> None:
        self._count(failed=True)
        self._row += 1
        was_probe = self._probing
        self._probing = False
        if was_probe:
            self._pause_s = min(self.MOST_S, self._pause_s * 2)
        if was_probe or (self.state == "closed" and self._is_bad()):
            self.state = "open"
            self._until = self._now() + self._pause_s * (1 + self._random.random() / 4)

    def undecided(self) -> None:
        """A request ended without saying anything of the upstream: its client left."""
        if self._probing:
            self.state = "open"
            self._probing = False

    def _is_bad(self) -> bool:
        return self._row >= self.IN_ROW or (
            self._asked >= self.MANY and self._failed * 2 >= self._asked
        )

    def _count(self, *, failed: bool) -> None:
        now = self._now()
        if now - self._window > self.WINDOW_S:
            self._window = now
            self._asked = 0
            self._failed = 0
        self._asked += 1
        self._failed += failed


class Upstream:
    """`outstanding` is the tokens of requests that it is working on. `models` is what it lists;
    None: it never did.
    """

    def __init__(
        self, name: str, config: UpstreamConfig, url: str, *, key: str | None = None
    ) -> None:
        self.name = name
        self.config = config
        self.url = url
        self.origin = Origin(url, timeouts=config.timeouts, key=key)
        self._checker = Origin(
            url, timeouts=CHECK_TIMEOUTS, key=key
        )  # never behind a request in a pool
        self.breaker = Breaker()
        self.in_flight = 0
        self.outstanding = 0
        self.models: frozenset[str] | None = None
        self.down = False
        self.rests_until = 0.0
        self._failed_checks = 0
        self._last_byte = time.monotonic()
        self._check: asyncio.Task[None] | None = None
        self.checked = asyncio.Event()

    # -- may it be asked
    # -------------------------------------------------------------------------------

    def usable(self) -> bool:
        return not self.down and self.breaker.allows()

    def resting(self) -> bool:
        return self.rests_until > 0 and time.monotonic() < self.rests_until

    def full(self) -> bool:
        return self.config.max_in_flight is not None and self.in_flight >= self.config.max_in_flight

    def usable_in_s(self) -> float:
        return max(1.0, self.breaker.opens_in_s())

    def can(self, needs: set[str]) -> bool:
        return self.config.can is None or needs <= set(self.config.can)

    def rest(self, seconds: float) -> None:
        """It said when it wants to be asked again."""
        self.rests_until = time.monotonic() + min(REST_MOST_S, max(0.0, seconds))

    # -- asking
    # ----------------------------------------------------------------------------------------

    def begin(self, tokens: int) -> None:
        self.in_flight += 1
        self.outstanding += tokens
        self.breaker.begin()

    def answered(self) -> None:
        """The first byte of an answer has come."""
        self.alive()
        self.breaker.succeeded()

    def end(self, tokens: int, *, good: bool | None) -> None:
        """`good`: None if the exchange says nothing of the upstream, as when the client left."""
        self.in_flight -= 1
        self.outstanding -= tokens
        if good is None:
            self.breaker.undecided()
        elif not good:
            self.breaker.failed()

    def alive(self) -> None:
        """A byte has come from it, which says more than a check that is late."""
        self._last_byte = time.monotonic()
        self._failed_checks = 0
        self.down = False

    # -- watching it
    # -----------------------------------------------------------------------------------

    def watch(self, on_down: Callable[[Upstream], None]) -> None:
        self._check = asyncio.get_running_loop().create_task(self._checks(on_down))

    async def _checks(self, on_down: Callable[[Upstream], None]) -> None:
        while True:
            await self._look(on_down)
            self.checked.set()
            quick = self.down or self.models is None or self._failed_checks
            await asyncio.sleep((CHECK_DOWN_S if quick else CHECK_S) * random.uniform(0.8, 1.2))

    async def _look(self, on_down: Callable[[Upstream], None]) -> None:
        """One active check. Down is who misses three in a row and sent no byte to anybody
        meanwhile.
        """
        start = time.monotonic()
        try:
            reply = await self._checker.ask("GET", "/v1/models", b"", [])
            try:
                self._listed(reply, await reply.read())
            finally:
                self._checker.release(reply)
        except UpstreamError:
            if self._last_byte < start:
                self._failed_checks += 1
            if self._failed_checks >= CHECKS_FAILED and not self.down:
                self.down = True
                on_down(self)
        else:
            self.alive()

    def _listed(self, reply: Reply, raw: bytes) -> None:
        """An endpoint that lists nothing, or forbids looking, is alive."""
        if reply.status != 200:
            if reply.status >= 500:
                raise UpstreamError(f"{reply.status}")
            return
        try:
            self.models = frozenset(str(entry["id"]) for entry in msgspec.json.decode(raw)["data"])
        except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError):
            return

    @property
    def watched(self) -> bool:
        return self._check is not None

    def stop_watching(self) -> None:
        if self._check is not None:
            self._check.cancel()

    async def close(self) -> None:
        if self._check is not None:
            self._check.cancel()
            await asyncio.gather(self._check, return_exceptions=True)
        self.origin.close()
        self._checker.close()
