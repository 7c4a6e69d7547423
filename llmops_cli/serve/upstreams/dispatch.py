"""A request finds an upstream that answers: retries, hedges and queues.

All of it happens before the client has seen a byte.
"""

from __future__ import annotations

import asyncio
import random

from msgspec.structs import replace

from llmops_cli.gateway_file.config import GatewayConfig
from llmops_cli.serve.context import Fields, RequestContext
from llmops_cli.serve.refusal import Refusal
from llmops_cli.serve.upstreams.admission import admit
from llmops_cli.serve.upstreams.attempt import Attempts
from llmops_cli.serve.upstreams.canaries import Canaries
from llmops_cli.serve.upstreams.canary import CANARY, Sighting
from llmops_cli.serve.upstreams.candidate import RoutingCandidate
from llmops_cli.serve.upstreams.errors import UpstreamError
from llmops_cli.serve.upstreams.exchange import (
    Failure,
    NoAnswer,
    UpstreamExchange,
    no_reply,
    out_of_service,
    refused,
)
from llmops_cli.serve.upstreams.hedge import Asking, Race, hedged
from llmops_cli.serve.upstreams.opening import RoutedRequest
from llmops_cli.serve.upstreams.queues import Queues
from llmops_cli.serve.upstreams.retry_budget import RetryBudget
from llmops_cli.serve.upstreams.routing import BY_ITSELF, Route, Router
from llmops_cli.serve.upstreams.rules import destinations_of
from llmops_cli.serve.upstreams.search import Search
from llmops_cli.serve.upstreams.shadow import Shadows
from llmops_cli.serve.upstreams.statuses import Meaning
from llmops_cli.serve.upstreams.tokenizing import PromptCount, counted
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
        """An exchange that may be passed on. Raises: Refusal; NoAnswer if nobody gave one."""
        request = self._routed(name, context, fields)
        generation = self._router.generation
        candidates = await self._candidates(name, request)
        search = Search(candidates, request.who, generation=generation)
        self._budget.request()
        self._note_dead_canary(search.candidates, request)
        try:
            return await self._search(search, request)
        except (NoAnswer, Refusal):
            held = search.take_held()
            if held is None:
                raise
            return held
        finally:
            search.drop_held()

    async def _search(self, search: Search, request: RoutedRequest) -> UpstreamExchange:
        """Raises: Refusal; NoAnswer."""
        while True:
            first = await self._admitted(search, request)
            search.sent += 1
            candidate, answer = await self._try(first, search, request)
            if self._is_for_stable(candidate, answer, search):
                search.doubt(candidate, answer)
            elif isinstance(answer, UpstreamExchange):
                self._settle_suspect(answer, search, request)
                return answer
            else:
                await self._go_on(candidate, answer, search, request)

    async def _go_on(
        self,
        candidate: RoutingCandidate,
        failure: Failure,
        search: Search,
        request: RoutedRequest,
    ) -> None:
        """What failed on both sides of a canary is the request's own. Raises: NoAnswer."""
        is_first = search.suspect is None
        asks_stable = is_first and candidate.side == CANARY and search.has_stable()
        search.failed(candidate, failure)
        goes_on = await self._may_retry(failure, search, request.alias)
        if asks_stable and goes_on:
            if failure.is_upstreams:
                search.suspect = candidate
        elif is_first and failure.is_doubtful:
            self._attempts.note(candidate, request, Sighting.DOUBTFUL)
        elif is_first and failure.is_upstreams:
            self._attempts.note(candidate, request, Sighting.ERROR)
        if not goes_on:
            raise NoAnswer(failure)

    async def _admitted(self, search: Search, request: RoutedRequest) -> RoutingCandidate:
        """Raises: Refusal; NoAnswer."""
        candidate = await admit(
            request.alias,
            lambda: self._current(search),
            search.tried,
            asked=request.context.asked,
            queues=self.queues,
            config=self._config.queue,
        )
        if candidate is None:
            raise NoAnswer(search.failure or _out_of_service(search.candidates, request))
        return candidate

    def _current(self, search: Search) -> list[RoutingCandidate]:
        generation = self._router.generation
        if generation != search.generation:
            search.welcome(self._router.joined(search.candidates), generation)
        return search.candidates

    def _is_for_stable(
        self,
        candidate: RoutingCandidate,
        answer: UpstreamExchange | Failure,
        search: Search,
    ) -> bool:
        """Whether the stable side is asked if a canary's answer is the request's own fault.

        That costs next to nothing, and no retry of the budget: what is refused was not worked on.
        """
        if not answer.is_doubtful or candidate.side != CANARY:
            return False
        return search.sent <= self._config.retries.most and search.has_stable()

    def _settle_suspect(
        self,
        answer: UpstreamExchange,
        search: Search,
        request: RoutedRequest,
    ) -> None:
        """The stable side has spoken."""
        if search.suspect is None:
            return
        if answer.is_doubtful and search.is_doubted:
            answer.counts_for_nothing()  # both sides say so: it is the request
        else:
            self._attempts.note(search.suspect, request, Sighting.ERROR)

    async def count_tokens(
        self,
        name: str,
        context: RequestContext,
        fields: Fields,
    ) -> PromptCount | None:
        """Of a prompt, by the tokenizer of who would answer it; None if that has none to ask.

        Raises: Refusal.
        """
        request = self._routed(name, context, fields)
        candidates = self._router.candidates(name, context.asked)
        return await counted(await request.speakable(request.allowed(candidates)), request)

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
        route = self._router.model(name)
        theirs = destinations_of(route.settings, context.asked)
        return RoutedRequest(
            route.alias,
            route.settings,
            context,
            fields,
            context.decided.destinations.within(theirs),
            is_named_freely=route.settings is BY_ITSELF,
        )

    async def _candidates(self, name: str, request: RoutedRequest) -> list[RoutingCandidate]:
        """Raises: Refusal; NoAnswer if there is none."""
        route = Route(request.alias, request.settings)
        found = self._router.ranked(route, name, request.context.asked)
        candidates = await request.speakable(request.allowed(found))
        if not candidates:
            raise NoAnswer(Failure(503, "the upstream does not list its models"))
        if len(candidates) > 1 or request.settings.fallback or request.settings.canary:
            # Somebody else can be asked until a word was said; a canary's sides have one clock.
            return [replace(candidate, held=True) for candidate in candidates]
        return candidates

    def _note_dead_canary(self, candidates: list[RoutingCandidate], request: RoutedRequest) -> None:
        """An open breaker is no reason to be thought well of."""
        if request.settings.canary is None:
            return
        canary = [candidate for candidate in candidates if candidate.side == "canary"]
        if canary and not any(candidate.upstream.usable(request.who) for candidate in canary):
            self._attempts.note(canary[0], request, Sighting.ERROR)

    async def _try(
        self,
        candidate: RoutingCandidate,
        search: Search,
        request: RoutedRequest,
    ) -> tuple[RoutingCandidate, UpstreamExchange | Failure]:
        """Who answered, which may be the spare one of a hedge."""
        after_s = request.settings.hedge_after_s
        fresh = search.needs_fresh
        try:
            if after_s is None:
                exchange = await self._attempts.attempt(candidate, request, fresh=fresh)
            else:
                exchange = await self._hedged(candidate, search, request, after_s)
        except UpstreamError as error:
            return candidate, no_reply(candidate, error)
        answer = refused(exchange) if exchange.is_bad else exchange
        return exchange.candidate, answer

    async def _hedged(
        self,
        candidate: RoutingCandidate,
        search: Search,
        request: RoutedRequest,
        after_s: float,
    ) -> UpstreamExchange:
        """Raises: UpstreamError."""
        race = Race()
        first = self._attempts.attempt(candidate, request, race=race, fresh=search.needs_fresh)
        spare = _spare(candidate, search)
        if spare is None or search.sent > self._config.retries.most:
            return await first

        def second() -> Asking | None:
            if not self._budget.take():
                return None
            search.sent += 1
            self._metrics.hedged(request.alias)
            return self._attempts.attempt(spare, request)

        exchange = await hedged(first, second, after_s=after_s, race=race)
        if race.has_failed and exchange.candidate is not candidate:
            self._attempts.note(candidate, request, Sighting.ERROR)
        return exchange

    async def _may_retry(
        self,
        failure: Failure,
        search: Search,
        alias: str,
    ) -> bool:
        """After a pause, if it is the same upstream that is asked again."""
        if search.sent > self._config.retries.most:
            return False
        if failure.is_clients:
            return False
        if failure.again:
            self._metrics.retried(alias)
            return True
        is_refusal = failure.meaning is Meaning.REFUSAL
        others = search.has_others(full_too=is_refusal)
        if not others and not failure.is_worth_repeating:
            return False
        if not is_refusal and not self._budget.take():
            return False
        self._metrics.retried(alias)
        if not others:
            pause_s = PAUSE_S * 2**search.sent
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))
        return True


def _out_of_service(candidates: list[RoutingCandidate], request: RoutedRequest) -> Failure:
    failure = out_of_service(candidates)
    if not request.destinations.is_bound:
        return failure
    said = "every upstream of this model that may see personal data is out of service"
    return failure._replace(message=said)


def _spare(candidate: RoutingCandidate, search: Search) -> RoutingCandidate | None:
    """The best of the others that is free."""
    for other in search.candidates:
        if other is not candidate and other.is_free(search.tried, search.who):
            return other
    return None
