"""What one version of the configuration stands for: upstreams, routes, limits, guard. A reload
makes another.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from llmops_cli.gateway_file.config import GatewayConfig
from llmops_cli.gateway_file.model import CacheConfig, ModelConfig, upstream_of
from llmops_cli.gateway_file.prices import public_price
from llmops_cli.serve.accounts.charge import Limiter
from llmops_cli.serve.accounts.limits import Limits
from llmops_cli.serve.context import Asked
from llmops_cli.serve.upstreams.canaries import Canaries
from llmops_cli.serve.upstreams.candidate import Candidate
from llmops_cli.serve.upstreams.dispatch import Dispatcher
from llmops_cli.serve.upstreams.routing import Router
from llmops_cli.serve.upstreams.upstream import Upstream
from llmops_cli.serve.watch.metrics import Metrics

if TYPE_CHECKING:
    from llmops_cli.guard.check import Guard

LOG = logging.getLogger("llmops.gateway")
CHECKED_WITHIN_S = 5.0


class Snapshot:
    """Requests hold on to the one that they began with. `urls`: where engines that we started
    answer, by upstream.
    """

    def __init__(
        self,
        config: GatewayConfig,
        *,
        urls: dict[str, list[str]],
        beside: Path | None,
        limiter: Limiter,
        canaries: Canaries,
        metrics: Metrics,
        before: Snapshot | None = None,
    ) -> None:
        self.config = config
        self._old = (
            {each.url: each for group in before.upstreams.values() for each in group}
            if before
            else {}
        )
        self.upstreams: dict[str, list[Upstream]] = {
            name: self._upstreams(name, urls) for name in config.upstreams
        }
        self.guard = _guard(config.guard, beside)
        self.policy = _digest(self.guard)
        self.limits = Limits(limiter, config.limits)
        self.router = Router(config, self.upstreams, canaries, is_private=_is_private)
        queues = before.dispatcher.queues if before is not None else None
        self.dispatcher: Dispatcher = Dispatcher(
            config, self.router, canaries, metrics, queues=queues
        )
        self._prices: dict[tuple[str, str], tuple[float, float]] = {}

    def _upstreams(self, name: str, urls: dict[str, list[str]]) -> list[Upstream]:
        """Those that did not change stay the same ones, with their connections and what is known of
        them.
        """
        config = self.config.upstreams[name]
        key = os.environ.get(config.key_env, "").strip() if config.key_env else None
        found = []
        for url in [config.url] if config.url else urls.get(name, []):
            old = self._old.get(url)
            if old is not None and old.config == config and old.name == name:
                found.append(old)
            else:
                found.append(Upstream(name, config, url, key=key))
        return found

    def all(self) -> list[Upstream]:
        return [each for group in self.upstreams.values() for each in group]

    def watch(self) -> None:
        """Begins the checks of those that are new."""
        for upstream in self.all():
            if not upstream.watched:
                upstream.watch(self._went_down)

    def _went_down(self, upstream: Upstream) -> None:
        """What waits for a frozen upstream is asked elsewhere, if there is an elsewhere."""
        LOG.error("upstream %s is down", upstream.name)
        if any(each.usable() for each in self.all() if each is not upstream):
            upstream.origin.abandon()

    async def looked(self) -> None:
        """Until each upstream was looked at once."""
        if all(each.checked.is_set() for each in self.all()):
            return
        waiting = [asyncio.ensure_future(each.checked.wait()) for each in self.all()]
        _, late = await asyncio.wait(waiting, timeout=CHECKED_WITHIN_S)
        for task in late:
            task.cancel()

    def ready(self) -> bool:
        """Whether some upstream of every model can be asked."""
        if not self.config.models:
            return any(each.usable() and each.checked.is_set() for each in self.all())
        pools = (model.members() for model in self.config.models.values())
        names = [[upstream_of(member) for member in members] for members in pools]
        return all(
            any(u.usable() and u.checked.is_set() for name in pool for u in self.upstreams[name])
            for pool in names
        )

    def cache_of(self, model: ModelConfig) -> CacheConfig | None:
        return model.cache or self.config.cache

    # -- prices
    # ----------------------------------------------------------------------------------------

    def price(self, candidate: Candidate) -> tuple[float, float]:
        """Dollars of one token in, and of one out."""
        price = candidate.upstream.config.price
        if price is None:
            return 0.0, 0.0
        key = (candidate.upstream.name, candidate.model)
        if key not in self._prices:
            try:
                self._prices[key] = (
                    public_price(candidate.model) if price == "genai" else price
                ).per_token()
            except LookupError:
                LOG.error("genai-prices does not know %s: it counts as free", candidate.model)
                self._prices[key] = (0.0, 0.0)
        return self._prices[key]

    async def retire(self, after: Snapshot) -> None:
        """Closes what the next version does not have, once its requests have ended."""
        kept = {id(each) for each in after.all()}
        gone = [each for each in self.all() if id(each) not in kept]
        for upstream in gone:
            upstream.stop_watching()
        while any(each.in_flight for each in gone):
            await asyncio.sleep(0.5)
        for upstream in gone:
            await upstream.close()


def _guard(named: str | None, beside: Path | None) -> Guard | None:
    if named is None:
        return None
    from llmops_cli.guard.check import Guard
    from llmops_cli.guard.policy import DEFAULT, load_policy

    return Guard(
        DEFAULT
        if named == "default"
        else load_policy((beside or Path()) / Path(named).expanduser())
    )


def _digest(guard: Guard | None) -> str:
    return hashlib.sha256(msgspec.json.encode(guard.policy)).hexdigest()[:16] if guard else ""


def _is_private(asked: Asked) -> bool:
    """Whether somebody's data is in it: names of kinds as in a guard's policy. An address of a
    network is nobody's.
    """
    from llmops_cli.guard.personal import find

    return any(
        entity.kind not in ("ip", "mac") for _, text in asked.texts() for entity in find(text)
    )
