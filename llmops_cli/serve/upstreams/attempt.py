"""One upstream asked once."""

from __future__ import annotations

import logging
import time

from llmops_cli.serve.context import RequestContext
from llmops_cli.serve.refusal import Headers
from llmops_cli.serve.upstreams.canaries import Canaries
from llmops_cli.serve.upstreams.canary import CANARY, SIDES, Sighting
from llmops_cli.serve.upstreams.candidate import RoutingCandidate
from llmops_cli.serve.upstreams.errors import ClientDeadline, MalformedAnswer, UpstreamError
from llmops_cli.serve.upstreams.exchange import Note, UpstreamExchange
from llmops_cli.serve.upstreams.first_words import begin_stream, ends_without_words
from llmops_cli.serve.upstreams.flagged import is_flagged
from llmops_cli.serve.upstreams.hedge import Race
from llmops_cli.serve.upstreams.opening import RoutedRequest, opened, unsent_to
from llmops_cli.serve.upstreams.outcome import Outcome, outcome_of
from llmops_cli.serve.upstreams.queues import Queues
from llmops_cli.serve.upstreams.reply import Reply
from llmops_cli.serve.upstreams.slot import UpstreamSlot
from llmops_cli.serve.upstreams.statuses import (
    ANSWER,
    OF_A_PATH,
    OK,
    Meaning,
    is_redirect,
    meaning_of,
)
from llmops_cli.serve.upstreams.upstream import EVERYWHERE, Upstream
from llmops_cli.serve.upstreams.whole import check_whole, says_nothing
from llmops_cli.serve.watch.metrics import Metrics

LOG = logging.getLogger("llmops.gateway")


class Attempts:
    """Asks, and notes what came of it: for the breaker, the canary and the metrics."""

    def __init__(
        self,
        canaries: Canaries,
        metrics: Metrics,
        queues: Queues,
    ) -> None:
        self._canaries = canaries
        self._metrics = metrics
        self.queues = queues

    async def attempt(
        self,
        candidate: RoutingCandidate,
        request: RoutedRequest,
        *,
        race: Race | None = None,
        fresh: bool = False,
    ) -> UpstreamExchange:
        """Until a stream has begun, or all of another answer is there.

        So long nothing was sent to the client, and somebody else can be asked. `race`: another
        upstream may win it meanwhile. `fresh`: on a new connection. Raises: UpstreamError.
        """
        left_s = request.context.asked.left_s()
        upstream = candidate.upstream
        unsent = await self._unsent(upstream, request, left_s)
        start = time.monotonic()
        slot = UpstreamSlot(upstream, request.tokens, self.queues, who=request.who)
        observed = request.context.observed
        observed.working.append(candidate)
        try:
            reply, body = await _ask(candidate, request, left_s, fresh=fresh)
        except UpstreamError as error:
            if not isinstance(error, ClientDeadline):
                observed.working.remove(candidate)  # what failed is nobody's cost
            request.context.observed.error = str(error)
            outcome = outcome_of(error)
            if outcome is Outcome.BAD:
                self._metrics.upstream_failed(upstream.name, error)
                if race is not None:
                    race.has_failed = True
            slot.end(outcome)
            raise
        except BaseException:
            if race is not None and race.is_lost:
                slow = Sighting(ttft_s=time.monotonic() - start)
                self.note(candidate, request, slow)
            slot.end(Outcome.NOTHING)
            raise
        observed.working.remove(candidate)
        exchange = self._exchange(candidate, request, reply, body, slot, time.monotonic() - start)
        exchange.unsent = unsent
        request.context.observed.upstream = upstream.name
        request.context.observed.member = upstream.member
        request.context.observed.model_digest = upstream.digest_of(candidate.model)
        request.context.observed.side = candidate.side
        return exchange

    async def _unsent(
        self,
        upstream: Upstream,
        request: RoutedRequest,
        left_s: float | None,
    ) -> tuple[str, ...]:
        """Fields that it is not sent. Whose place is not taken leaves it to the next that waits.

        Raises: ClientDeadline; Refusal for what cannot be said in its dialect.
        """
        try:
            if left_s is not None and left_s <= 0:
                raise ClientDeadline
            return await unsent_to(upstream.config, request)
        except BaseException:
            self.queues.pass_on(request.alias)
            raise

    def _exchange(
        self,
        candidate: RoutingCandidate,
        request: RoutedRequest,
        reply: Reply,
        body: bytes | None,
        slot: UpstreamSlot,
        first_s: float,
    ) -> UpstreamExchange:
        meaning = meaning_of(reply.status, names_are_the_clients=request.names_are_the_clients)
        if is_flagged(reply.status, body):
            meaning = Meaning.REQUEST
        if meaning is ANSWER:
            slot.answered()
        elif meaning is Meaning.FAILURE:
            self._metrics.upstream_failed(candidate.upstream.name, reply.status)
        else:
            slot.refused()
        if meaning is Meaning.REFUSAL:
            self._alarm(candidate, reply, request.path)
        elif body is not None and meaning is Meaning.REQUEST:
            body = candidate.upstream.origin.hides(body)
        has_canary = request.settings.canary is not None
        note = None
        is_doubtful = meaning is not ANSWER
        if has_canary:
            note = self._note_for(candidate, request)
            is_doubtful = is_doubtful or _is_empty(reply, body, request)
        return UpstreamExchange(
            candidate,
            reply,
            body,
            slot=slot,
            meaning=meaning,
            first_s=first_s,
            is_doubtful=is_doubtful,
            note=note,
        )

    def _alarm(self, candidate: RoutingCandidate, reply: Reply, path: str) -> None:
        """Whoever runs us is told; a canary is asked on, since each of its answers is compared."""
        upstream = candidate.upstream
        self._metrics.upstream_refused(upstream.name, reply.status)
        place = path if reply.status in OF_A_PATH else EVERYWHERE
        if upstream.note_refusal(place, rests=candidate.side != CANARY):
            LOG.error("upstream %s refuses the gateway: %s", upstream.name, _refusal(reply))

    def _note_for(self, candidate: RoutingCandidate, request: RoutedRequest) -> Note:
        def note(seen: Sighting) -> None:
            self.note(candidate, request, seen)

        return note

    def note(
        self,
        candidate: RoutingCandidate,
        request: RoutedRequest,
        seen: Sighting,
    ) -> None:
        """For the canary, if the model has one."""
        if request.settings.canary is not None and candidate.side in SIDES:
            self._canaries.note(request.alias, candidate.side, seen)


def _is_empty(reply: Reply, body: bytes | None, request: RoutedRequest) -> bool:
    if not request.has_choices:
        return False
    if body is None:
        return ends_without_words(reply.peek())
    return says_nothing(body)


def _refusal(reply: Reply) -> str:
    """For the log."""
    if is_redirect(reply.status):
        return f"{reply.status}, a redirect to {reply.redirect_host}, which is not followed"
    return f"{reply.status}; look at its key, its url and the names of its models"


async def _ask(
    candidate: RoutingCandidate,
    request: RoutedRequest,
    left_s: float | None,
    *,
    fresh: bool,
) -> tuple[Reply, bytes | None]:
    """The reply, and its body if it is no stream. Raises: UpstreamError."""
    origin = candidate.upstream.origin
    reply = await opened(
        candidate,
        request,
        _headers(request.context),
        within_s=left_s,
        fresh=fresh,
    )
    try:
        await reply.begun()
        if reply.is_stream and reply.status == OK:
            if not request.wants_stream:
                raise MalformedAnswer("a stream where none was asked for")
            await begin_stream(reply, held=candidate.held, has_choices=request.has_choices)
            return reply, None
        body = await reply.read()
        if reply.status == OK and request.has_json:
            check_whole(body, reply.headers, has_choices=request.has_choices)
    except BaseException:
        origin.release(reply)
        raise
    return reply, body


def _headers(context: RequestContext) -> Headers:
    headers = [(b"X-Request-Id", context.asked.id.encode())]
    trace = context.observed.trace
    if trace is not None:
        headers.append((b"traceparent", trace.parent()))
    return headers
