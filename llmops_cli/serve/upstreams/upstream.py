"""One upstream: its origin, whether it may be asked (breaker, health, rest), and its load."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.core.wrong_json import UNREADABLE
from llmops_cli.gateway_file.credentials import credentials_of, files_of
from llmops_cli.gateway_file.upstream import TimeoutsConfig, UpstreamConfig
from llmops_cli.gateway_file.variables import resolved
from llmops_cli.serve.upstreams.breaker import Breaker
from llmops_cli.serve.upstreams.errors import KeptConnectionLost, UpstreamError
from llmops_cli.serve.upstreams.file_stamps import FileStamps
from llmops_cli.serve.upstreams.listing import contexts_in, digests_in
from llmops_cli.serve.upstreams.origin import Origin

LOG = logging.getLogger("llmops.gateway")
CHECK_S = 5.0
CHECK_DOWN_S = 1.0
CHECKS_FAILED = 3
REST_MOST_S = 60.0
REFUSES_S = 10.0
"""Who does not take our key, or a model's name, is not asked again so long, if others can be."""
EVERYWHERE = ""
"""In the place of a path: whatever is asked."""
CHECK_TIMEOUTS = TimeoutsConfig(
    connect_s=2.0,
    first_byte_s=5.0,
    between_s=5.0,
    total_s=5.0,
)
NEWS_S = 60.0
MODELS = "/v1/models"
ALL_MODELS = f"{MODELS}?limit=1000"
"""Anthropic's list comes by pages."""
Told = Callable[["Upstream"], None]


class Upstream:
    """One address that answers requests.

    `member`: what tells it from others of its name; empty: there is one. `weight`: its part beside
    theirs. `has_left`: it is not asked any more, and ends what it has begun. `outstanding`: tokens
    of the requests that it is working on. `models`: what it lists; None: it never did. `contexts`:
    how many tokens fit, by model, where it tells; `digests`: of their files, likewise. `started`:
    the digest of the one that it was started with, if that was here.
    """

    def __init__(
        self,
        name: str,
        config: UpstreamConfig,
        url: str,
        *,
        member: str = "",
        called: str = "",
    ) -> None:
        """`url` as it is written; `called`: what its host is called, if it is asked by address.

        Raises: UsageError for a variable without a value.
        """
        self.name = name
        self.config = config
        self.url = url
        self.member = member
        self.weight = 1.0
        self.has_left = False
        self.answers = 0
        self.failures = 0
        self._files = FileStamps(files_of(config))
        credentials = credentials_of(config)
        place = resolved(url)
        self.origin = Origin(
            place,
            timeouts=config.timeouts,
            credentials=credentials,
            called=called,
        )
        # Of its own, so that a check never waits behind a request in the pool.
        self._checker = Origin(
            place,
            timeouts=CHECK_TIMEOUTS,
            credentials=credentials,
            called=called,
        )
        self.breaker = Breaker()
        self.in_flight = 0
        self.outstanding = 0
        self.models: frozenset[str] | None = None
        self.contexts: dict[str, int] = {}
        self.digests: dict[str, str] = {}
        self.started = ""
        self.down = False
        self.has_spoken = False
        self.rests_until = 0.0
        self._refuses_until: dict[str, float] = {}
        self._refusal_is_news_at = 0.0
        self._failed_checks = 0
        self._last_byte = time.monotonic()
        self._check: asyncio.Task[None] | None = None
        self.checked = asyncio.Event()

    # Whether it may be asked.

    def usable(self, who: str = "") -> bool:
        return not self.down and not self.has_left and self.breaker.allows(who)

    def resting(self) -> bool:
        return self.rests_until > 0 and time.monotonic() < self.rests_until

    def full(self) -> bool:
        most = self.config.max_in_flight
        return most is not None and self.in_flight >= most

    def usable_in_s(self) -> float:
        return max(1.0, self.breaker.opens_in_s())

    def can(self, needs: set[str]) -> bool:
        return self.config.can is None or needs <= set(self.config.can)

    def digest_of(self, model: str) -> str:
        """Of the files of a model that it has; empty: nobody told it."""
        return self.digests.get(model) or self.started

    def rest(self, seconds: float) -> None:
        """It said when it wants to be asked again."""
        rest_s = min(REST_MOST_S, max(0.0, seconds))
        self.rests_until = time.monotonic() + rest_s

    def refuses_us(self, path: str) -> bool:
        """Whether what was asked at that path was refused lately, or all that is asked."""
        if not self._refuses_until:
            return False
        now = time.monotonic()
        return any(now < self._refuses_until.get(place, 0.0) for place in (EVERYWHERE, path))

    def has_refused_us_lately(self) -> bool:
        return time.monotonic() < self._refusal_is_news_at

    def note_refusal(self, path: str, *, rests: bool) -> bool:
        """`rests`: others are asked for a while, at that path. Whether it is news."""
        now = time.monotonic()
        is_news = now >= self._refusal_is_news_at
        if is_news:
            self._refusal_is_news_at = now + NEWS_S
        if rests:
            self._refuses_until[path] = now + REFUSES_S
        return is_news

    # While it is asked: see UpstreamSlot.

    def alive(self) -> None:
        """A byte has come from it, which says more than a check that is late."""
        self._last_byte = time.monotonic()
        self._failed_checks = 0
        self.has_spoken = True
        self.down = False

    # What it is sent beside requests.

    def look_at_files(self) -> None:
        """A key, or another value, that a file holds counts as soon as the file has changed."""
        if not self._files.have_changed():
            return
        try:
            credentials = credentials_of(self.config)
        except UsageError as error:
            LOG.error("upstream %s keeps its old key: %s", self.name, error.message)
            return
        self.origin.renew(credentials)
        self._checker.renew(credentials)
        self._refuses_until.clear()
        LOG.warning("upstream %s: its key was read anew", self.name)

    # Its checks.

    def watch(self, on_down: Told, on_up: Told | None = None) -> None:
        checks = self._checks(on_down, on_up)
        self._check = asyncio.get_running_loop().create_task(checks)

    async def _checks(self, on_down: Told, on_up: Told | None) -> None:
        while True:
            was_down = self.down
            await self._look(on_down)
            if was_down and not self.down and on_up is not None:
                on_up(self)
            self.checked.set()
            jitter = random.uniform(0.8, 1.2)
            await asyncio.sleep(self._pause_s() * jitter)

    def _pause_s(self) -> float:
        """Until the next check."""
        is_in_doubt = self.down or self.models is None or self._failed_checks > 0
        return CHECK_DOWN_S if is_in_doubt else CHECK_S

    async def _look(self, on_down: Told) -> None:
        """One check. Down is who misses three in a row and sent nobody a byte meanwhile."""
        start = time.monotonic()
        try:
            await self._list()
        except UpstreamError:
            if self._last_byte < start:
                self._failed_checks += 1
            if self._failed_checks >= CHECKS_FAILED and not self.down:
                self.down = True
                on_down(self)
        else:
            self.alive()

    async def _list(self) -> None:
        """Raises: UpstreamError."""
        path = ALL_MODELS if self.config.is_anthropic else MODELS
        try:
            reply = await self._checker.ask("GET", path, b"", [])
        except KeptConnectionLost:
            reply = await self._checker.ask("GET", path, b"", [], fresh=True)
        try:
            raw = await reply.read()
        finally:
            self._checker.release(reply)
        self._listed(reply.status, raw)

    def _listed(self, status: int, raw: bytes) -> None:
        """An endpoint that lists nothing, or forbids looking, is alive. Raises: UpstreamError."""
        if status >= 500:
            raise UpstreamError(f"{status}")
        if status != 200:
            return
        try:
            entries = msgspec.json.decode(raw)["data"]
            self.models = frozenset(str(entry["id"]) for entry in entries)
            self.contexts = contexts_in(entries)
            self.digests = digests_in(entries)
        except (*UNREADABLE, KeyError, TypeError):
            return

    @property
    def watched(self) -> bool:
        check = self._check
        return check is not None and not check.cancelling() and not check.done()

    def stop_watching(self) -> None:
        if self._check is not None:
            self._check.cancel()

    async def close(self) -> None:
        if self._check is not None:
            self._check.cancel()
            await asyncio.gather(self._check, return_exceptions=True)
        self.origin.close()
        self._checker.close()
