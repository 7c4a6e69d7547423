"""A request waits until an upstream has a place for it, as long as it may."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from llmops_cli.gateway_file.config import QueueConfig
from llmops_cli.serve.context import Asked, Urgency
from llmops_cli.serve.refusal import Refusal, retry_after
from llmops_cli.serve.upstreams.candidate import RoutingCandidate
from llmops_cli.serve.upstreams.queues import Queues, Waited
from llmops_cli.serve.upstreams.upstream import Upstream


async def admit(
    alias: str,
    current: Callable[[], list[RoutingCandidate]],
    tried: Collection[Upstream],
    *,
    asked: Asked,
    queues: Queues,
    config: QueueConfig,
) -> RoutingCandidate | None:
    """The best candidate that is usable and has a place; None if none is usable.

    `current`: who may be asked now, which can change while a place is waited for.
    Raises: Refusal (503) if the queue is full, or cannot be passed in time; if it is full of
    one key's, another's takes the place of the last of them.
    """
    candidates = current()
    is_ready = bool(candidates) and _is_ready(candidates[0], tried, asked)
    if is_ready and not queues.has_claims(alias):
        return candidates[0]
    until = time.monotonic() + _patience_s(asked, config)
    urgent = asked.urgency is Urgency.INTERACTIVE
    waited = False
    woken = False
    try:
        while True:
            usable = _usable(candidates, asked)
            if not usable:
                return None
            free = _with_place(usable)
            if free and (waited or not queues.has_claims(alias)):
                woken = False
                return _first_untried(free, tried)
            left_s = until - time.monotonic()
            expected_s = queues.expected_s(alias, asked.who, urgent=urgent)
            _check_in_time(asked, expected_s=expected_s, left_s=left_s)
            is_full = not waited and queues.depth(alias) >= config.depth
            if is_full and not queues.make_room(alias, asked.who, urgent=urgent):
                raise _overloaded("too many requests wait already", expected_s)
            woken = False
            ended = await queues.wait(
                alias,
                asked.who,
                urgent=urgent,
                again=waited,
                seconds=left_s,
                fits=lambda: _may_go(current(), asked),
                upstreams=[each.upstream for each in usable],
            )
            if ended is Waited.DISPLACED:
                raise _overloaded("too many requests of this key wait already", expected_s)
            woken = ended is Waited.WOKEN
            waited = woken or bool(free)
            candidates = current()
    finally:
        if woken:
            queues.pass_on(alias)


def _usable(candidates: list[RoutingCandidate], asked: Asked) -> list[RoutingCandidate]:
    usable = [each for each in candidates if each.upstream.usable(asked.who)]
    return _willing(usable, asked.endpoint.target.path)


def _may_go(candidates: list[RoutingCandidate], asked: Asked) -> bool:
    """Where one has a place, and where none is usable any more: then it waits in vain."""
    usable = _usable(candidates, asked)
    return not usable or bool(_with_place(usable))


def _is_ready(
    candidate: RoutingCandidate,
    tried: Collection[Upstream],
    asked: Asked,
) -> bool:
    """Whether there is no reason to look at the others, which is nearly always so."""
    if not candidate.is_free(tried, asked.who):
        return False
    return not candidate.upstream.refuses_us(asked.endpoint.target.path)


def _patience_s(asked: Asked, config: QueueConfig) -> float:
    left_s = asked.left_s()
    if left_s is None:
        return config.wait_s
    return min(left_s, config.wait_s)


def _check_in_time(
    asked: Asked,
    *,
    expected_s: float,
    left_s: float,
) -> None:
    """Raises: Refusal."""
    if left_s <= 0 or (asked.deadline and expected_s > left_s):
        raise _overloaded("there is no place in time", expected_s)


def _willing(usable: list[RoutingCandidate], path: str) -> list[RoutingCandidate]:
    """Those that refuse us only if there is nobody else; a place elsewhere is waited for."""
    willing = [each for each in usable if not each.upstream.refuses_us(path)]
    return willing or usable


def _with_place(usable: list[RoutingCandidate]) -> list[RoutingCandidate]:
    """Those that asked to be left alone only if there is nobody else."""
    free = [each for each in usable if not each.upstream.full()]
    rested = [each for each in free if not each.upstream.resting()]
    return rested or free


def _first_untried(free: list[RoutingCandidate], tried: Collection[Upstream]) -> RoutingCandidate:
    for candidate in free:
        if candidate.upstream not in tried:
            return candidate
    return free[0]


def _overloaded(message: str, expected_s: float) -> Refusal:
    return Refusal(503, message, code="overloaded", headers=retry_after(expected_s))
