"""Copies of requests whose answers nobody sees: what becomes of them is only counted."""

from __future__ import annotations

import asyncio
import time

from llmops_cli.serve.refusal import Refusal
from llmops_cli.serve.upstreams.attempt import Attempts
from llmops_cli.serve.upstreams.candidate import RoutingCandidate
from llmops_cli.serve.upstreams.errors import UpstreamError
from llmops_cli.serve.upstreams.opening import RoutedRequest, opened
from llmops_cli.serve.upstreams.outcome import Outcome, outcome_of
from llmops_cli.serve.upstreams.slot import UpstreamSlot
from llmops_cli.serve.upstreams.statuses import Meaning, meaning_of
from llmops_cli.serve.watch.metrics import Metrics


class Shadows:
    """Those under way, so that there are not too many."""

    def __init__(self, attempts: Attempts, metrics: Metrics) -> None:
        self._attempts = attempts
        self._metrics = metrics
        self._tasks: set[asyncio.Task[None]] = set()

    def send(self, candidate: RoutingCandidate, request: RoutedRequest) -> None:
        config = request.settings.shadow
        if config is None or len(self._tasks) >= config.at_once:
            self._metrics.shadowed(request.alias, "skipped")
            return
        task = asyncio.get_running_loop().create_task(self._copy(candidate, request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _copy(self, candidate: RoutingCandidate, request: RoutedRequest) -> None:
        """Nothing where it cannot be said in that upstream's dialect."""
        try:
            await request.speakable([candidate])
        except Refusal:
            return
        await self._sent(candidate, request)

    async def _sent(self, candidate: RoutingCandidate, request: RoutedRequest) -> None:
        upstream = candidate.upstream
        start = time.monotonic()
        slot = UpstreamSlot(upstream, request.tokens, self._attempts.queues, who=request.who)
        outcome = Outcome.NOTHING
        is_fine = False
        try:
            meaning = await _answered(candidate, request)
            is_fine = meaning is Meaning.ANSWER
            if is_fine:
                slot.answered()
                outcome = Outcome.GOOD
            elif meaning is Meaning.FAILURE:
                outcome = Outcome.BAD
        except UpstreamError as error:
            outcome = outcome_of(error)
        finally:
            slot.end(outcome)
        result = "fine" if is_fine else "failed"
        seconds = time.monotonic() - start
        self._metrics.shadowed(request.alias, result, seconds)


async def _answered(candidate: RoutingCandidate, request: RoutedRequest) -> Meaning:
    """Raises: UpstreamError."""
    origin = candidate.upstream.origin
    reply = await opened(candidate, request, [])
    try:
        await reply.read()
    finally:
        origin.release(reply)
    return meaning_of(reply.status)
