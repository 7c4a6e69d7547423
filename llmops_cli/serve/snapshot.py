"""What one version of the configuration stands for: upstreams, routes, limits, prices, guard."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from llmops_cli.gateway_file.config import GatewayConfig
from llmops_cli.gateway_file.model import (
    CacheConfig,
    CompressConfig,
    ModelConfig,
    upstream_of,
)
from llmops_cli.gateway_file.privacy import asking_for_privacy
from llmops_cli.prompt_file.prompt import Prompt
from llmops_cli.serve.accounts.charge import Limiter
from llmops_cli.serve.accounts.limits import Limits
from llmops_cli.serve.door.own_names import OwnNames
from llmops_cli.serve.door.proxies import TrustedProxies
from llmops_cli.serve.passed_endpoints import endpoints_of
from llmops_cli.serve.policy import asking_only, digest_of, guard_of
from llmops_cli.serve.prices import PriceTable
from llmops_cli.serve.prompts.named import ServedPrompts
from llmops_cli.serve.rollout.history import digest_of as config_digest
from llmops_cli.serve.upstreams.canaries import Canaries
from llmops_cli.serve.upstreams.destinations import Destinations
from llmops_cli.serve.upstreams.discovery.discovery import LookupResult
from llmops_cli.serve.upstreams.dispatch import Dispatcher
from llmops_cli.serve.upstreams.members import Members, members_of
from llmops_cli.serve.upstreams.routing import Router
from llmops_cli.serve.upstreams.upstream import Upstream
from llmops_cli.serve.watch.metrics import Metrics

if TYPE_CHECKING:
    from llmops_cli.guard.check import Guard

LOG = logging.getLogger("llmops.gateway")
CHECKED_WITHIN_S = 5.0
WAITING_MOST = 1000
"""Those who are woken for an upstream that takes any number."""
GUARDS_MOST = 64


class Snapshot:
    """Requests hold on to the one that they began with; a reload makes another.

    `urls`: where engines that we started answer, by upstream; `digests`: of their models.
    `policy`: the guard's. `digest`: of the configuration.
    """

    def __init__(
        self,
        config: GatewayConfig,
        *,
        urls: dict[str, list[str]],
        digests: dict[str, str] | None = None,
        policy: str | None,
        limiter: Limiter,
        canaries: Canaries,
        metrics: Metrics,
        prompts: Sequence[Prompt] = (),
        before: Snapshot | None = None,
    ) -> None:
        self.config = config
        self.digest = config_digest(config, policy)
        known: dict[str, Members] = {} if before is None else before.upstreams
        self.upstreams: dict[str, Members] = {
            name: members_of(name, settings, urls.get(name, []), known.get(name))
            for name, settings in config.upstreams.items()
        }
        for name, digest in (digests or {}).items():
            for each in self.upstreams.get(name, ()):
                each.started = digest
        self._metrics = metrics
        self.endpoints = endpoints_of(config.endpoints, feedback=config.feedback is not None)
        self.guard = guard_of(policy)
        self.was_looked = False
        self._guards: dict[tuple[Destinations, int], Guard] = {}
        self.policy = digest_of(policy)
        self.limits = Limits(limiter, config.limits)
        self.router = Router(config, self.upstreams, canaries)
        queues = None if before is None else before.dispatcher.queues
        self.dispatcher: Dispatcher = Dispatcher(
            config,
            self.router,
            canaries,
            metrics,
            queues=queues,
        )
        self.prices = PriceTable()
        self.prompts = ServedPrompts(prompts)
        self.proxies = TrustedProxies(config.limits.trusted_proxies)
        self.names = OwnNames(config)

    def all(self) -> list[Upstream]:
        return [each for group in self.upstreams.values() for each in group]

    def guard_for(self, destinations: Destinations) -> Guard | None:
        """Where texts may only reach some upstreams, its detectors ask no other host either."""
        if self.guard is None or not destinations.is_bound:
            return self.guard
        asked_now = (destinations, self.router.generation)
        found = self._guards.get(asked_now)
        if found is None:
            if len(self._guards) > GUARDS_MOST:
                self._guards.clear()
            urls = [each.url for each in self.all() if destinations.allows(each.name)]
            hosts = {urlsplit(url).hostname or "" for url in urls}
            found = asking_only(self.guard, hosts)
            self._guards[asked_now] = found
        return found

    @property
    def keeps_personal_data(self) -> bool:
        """Whether a rule says of any model where personal data may go."""
        return bool(asking_for_privacy(self.config))

    @property
    def needs_judges(self) -> bool:
        """Whether requests are read for more than where they go."""
        return self.guard is not None or self.keeps_personal_data or self.config.audit.bodies

    def watch(self) -> None:
        """Begins the checks of those that are new."""
        for members in self.upstreams.values():
            members.watch(self)

    def went_down(self, upstream: Upstream) -> None:
        """What waits for a frozen upstream is asked elsewhere, if there is an elsewhere."""
        LOG.error("upstream %s is down", upstream.name)
        if any(each.usable() for each in self.all() if each is not upstream):
            upstream.origin.abandon()

    def came_up(self, upstream: Upstream) -> None:
        """Those who wait for a place may have one there."""
        most = upstream.config.max_in_flight or WAITING_MOST
        self.dispatcher.queues.more_places(most)

    def looked_up(self, upstream: str, result: LookupResult) -> None:
        self._metrics.looked_up(upstream, result)

    async def looked(self) -> None:
        """Until each upstream was looked at once; `was_looked` then."""
        groups = list(self.upstreams.values())
        if all(members.was_looked for members in groups):
            self.was_looked = True
            return
        waiting = [asyncio.ensure_future(members.looked()) for members in groups]
        _, late = await asyncio.wait(waiting, timeout=CHECKED_WITHIN_S)
        for task in late:
            task.cancel()

    def ready(self) -> bool:
        """Whether some upstream of every model can be asked."""
        if not self.config.models:
            return any(map(_is_ready, self.all()))
        return all(map(self._can_answer, self.config.models.values()))

    def _can_answer(self, model: ModelConfig) -> bool:
        names = [upstream_of(member) for member in model.members()]
        return any(_is_ready(each) for name in names for each in self.upstreams[name])

    def cache_of(self, model: ModelConfig) -> CacheConfig | None:
        return model.cache or self.config.cache

    def compress_of(self, model: ModelConfig) -> CompressConfig | None:
        return model.compress or self.config.compress

    async def retire(self, after: Snapshot) -> None:
        """Closes what the next version does not have, once its requests have ended."""
        kept = set(map(id, after.upstreams.values()))
        gone = [each for each in self.upstreams.values() if id(each) not in kept]
        await asyncio.gather(*(members.retire() for members in gone))

    async def close(self) -> None:
        await asyncio.gather(*(members.close() for members in self.upstreams.values()))


def _is_ready(upstream: Upstream) -> bool:
    return upstream.usable() and upstream.checked.is_set()
