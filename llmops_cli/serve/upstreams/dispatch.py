"""A request finds an upstream that answers: retries, hedges and queues.

All of it happens before the client has seen a byte.
"""

from __future__ import annotations

import asyncio
import random

from llmops_cli.gateway_file.config import GatewayConfig
from llmops_cli.serve.context import Fields, RequestContext
from llmops_cli.serve.upstreams.admission import admit
from llmops_cli.serve.upstreams.attempt import Attempts
from llmops_cli.serve.upstreams.canaries import Canaries
from llmops_cli.serve.upstreams.candidate import RoutingCandidate
from llmops_cli.serve.upstreams.errors import UpstreamError
from llmops_cli.serve.upstreams.exchange import (
    TOO_MANY,
    Failure,
    NoAnswer,
    UpstreamExchange,
    no_reply,
    out_of_service,
    refused,
)
from llmops_cli.serve.upstreams.hedge import Asking, hedged
from llmops_cli.serve.upstreams.opening import RoutedRequest
from llmops_cli.serve.upstreams.queues import Queues
from llmops_cli.serve.upstreams.retry_budget import RetryBudget
from llmops_cli.serve.upstreams.routing import Router
from llmops_cli.serve.upstreams.shadow import Shadows
from llmops_cli.serve.upstreams.upstream import Upstream
from llmops_cli.serve.watch.metrics import Metrics

PAUSE_S = 0.05


class Dispatcher:
    """One configuration's way from a request to an exchange."""

    def __init__(
        self,
        config: GatewayConfig,
        router: Router,
        canaries: Canaries,
        metrics: Metrics,
        *,
        queues: Queues | None = None,
    ) -> None:
        """`queues`: of the configuration before, in which requests wait."""
        self._config = config
        self._router = router
        self._metrics = metrics
        self._budget = RetryBudget(config.retries.budget)
        self.queues = queues or Queues()
        self._attempts = Attempts(canaries, metrics, self.queues)
        self._shadows = Shadows(self._attempts, metrics)

    async def open(
        self,
        name: str,
        context: RequestContext,
        fields: Fields,
    ) -> UpstreamExchange:
        """An exchange with a status below 500. Raises: Refusal; NoAnswer if nobody gave one."""
        request = self._routed(name, context, fields)
        alias = request.alias
        candidates = self._candidates(name, request)
        self._budget.request()
        self._note_dead_canary(candidates, request)
        tried = list[Upstream]()
        failure = None
        while True:
            candidate = await admit(
                alias,
                candidates,
                tried,
                asked=context.asked,
                queues=self.queues,
                config=self._config.queue,
            )
            if candidate is None:
                raise NoAnswer(failure or _out_of_service(candidates, request))
            answer = await self._try(candidate, candidates, tried, request)
            if isinstance(answer, UpstreamExchange):
                return answer
            failure = answer
            tried.append(candidate.upstream)
            if not await self._may_retry(failure, candidates, tried, alias):
                raise NoAnswer(failure)

    def shadow(
        self,
        name: str,
        context: RequestContext,
        fields: Fields,
    ) -> None:
        """Sends a copy where the file says so."""
        request = self._routed(name, context, fields)
        candidate = self._router.shadow(name, request.destinations)
        if candidate is not None:
            self._shadows.send(candidate, request)

    def _routed(
        self,
        name: str,
        context: RequestContext,
        fields: Fields,
    ) -> RoutedRequest:
        """What was decided for the request binds it at every model, beside that model's own rules.

        Raises: Refusal if there is no such model.
        """
        alias, settings = self._router.model(name)
        theirs = self._router.destinations(name, context.asked)
        destinations = context.decided.destinations.within(theirs)
        return RoutedRequest(alias, settings, context, fields, destinations)

    def _candidates(self, name: str, request: RoutedRequest) -> list[RoutingCandidate]:
        """Raises: Refusal; NoAnswer if there is none."""
        candidates = request.allowed(self._router.candidates(name, request.context.asked))
        if not candidates:
            raise NoAnswer(Failure(503, "the upstream does not list its models"))
        if len(candidates) > 1 or request.settings.fallback:
            # Somebody else can be asked until a word was said.
            return [candidate._replace(held=True) for candidate in candidates]
        return candidates

    def _note_dead_canary(self, candidates: list[RoutingCandidate], request: RoutedRequest) -> None:
        """An open breaker is no reason to be thought well of."""
        canary = [candidate for candidate in candidates if candidate.side == "canary"]
        if canary and not any(candidate.upstream.usable() for candidate in canary):
            self._attempts.note(canary[0], request, good=False)

    async def _try(
        self,
        candidate: RoutingCandidate,
        candidates: list[RoutingCandidate],
        tried: list[Upstream],
        request: RoutedRequest,
    ) -> UpstreamExchange | Failure:
        after_s = request.settings.hedge_after_s
        try:
            if after_s is None:
                exchange = await self._attempts.attempt(candidate, request)
            else:
                exchange = await self._hedged(candidate, candidates, tried, request, after_s)
        except UpstreamError as error:
            return no_reply(error)
        if exchange.is_bad or exchange.reply.status == TOO_MANY:
            return refused(exchange)
        return exchange

    async def _hedged(
        self,
        candidate: RoutingCandidate,
        candidates: list[RoutingCandidate],
        tried: list[Upstream],
        request: RoutedRequest,
        after_s: float,
    ) -> UpstreamExchange:
        """Raises: UpstreamError."""
        first = self._attempts.attempt(candidate, request)
        spare = _spare(candidate, candidates, tried)
        if spare is None:
            return await first

        def second() -> Asking | None:
            if not self._budget.take():
                return None
            self._metrics.hedged(request.alias)
            return self._attempts.attempt(spare, request)

        return await hedged(first, second, after_s=after_s)

    async def _may_retry(
        self,
        failure: Failure,
        candidates: list[RoutingCandidate],
        tried: list[Upstream],
        alias: str,
    ) -> bool:
        """After a pause, if it is the same upstream that is asked again."""
        if len(tried) > self._config.retries.most:
            return False
        others = any(candidate.is_free(tried) for candidate in candidates)
        if not others and not failure.is_worth_repeating:
            return False
        if not self._budget.take():
            return False
        self._metrics.retried(alias)
        if not others:
            pause_s = PAUSE_S * 2 ** len(tried)
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))
        return True


def _out_of_service(candidates: list[RoutingCandidate], request: RoutedRequest) -> Failure:
    failure = out_of_service(candidates)
    if not request.destinations.is_bound:
        return failure
    said = "every upstream of this model that may see personal data is out of service"
    return failure._replace(message=said)


def _spare(
    candidate: RoutingCandidate,
    candidates: list[RoutingCandidate],
    tried: list[Upstream],
) -> RoutingCandidate | None:
    """The best of the others that is free."""
    for other in candidates:
        if other is not candidate and other.is_free(tried):
            return other
    return None
