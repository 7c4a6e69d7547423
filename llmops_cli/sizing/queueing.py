"""Latency and throughput under load: batches that grow with the load, prompts that wait.

A request takes `prefill_s` of the device for itself and shares `output_tokens` steps with the
batch, so the device does one request in prefill_s + output_tokens x step(n) / n. Prompts wait for
one another as in M/D/1 (Pollaczek and Khinchine), and for a slot as by Sakasegawa's formula.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import msgspec

StepTime = Callable[[float], float]
"""Sequences in a batch -> seconds of a step."""
FULL = 0.98
"""Of the capacity: an open loop beyond it has a queue that grows without end."""
KNEE_GAIN = 1.5
"""Twice the streams that give less than this many times the tokens are past the knee."""


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """What a request asks for and what a step takes.

    slots and `step_s`'s sequences: of all copies together. stages: of a copy, that have work at
    once, so that as many prompts are read abreast.
    """

    prefill_s: float
    output_tokens: float
    slots: int
    step_s: StepTime
    copies: int = 1
    stages: int = 1

    @property
    def turn_s(self) -> float:
        """How long a prompt keeps the next one of its copy waiting."""
        return self.prefill_s / self.stages

    def busy(self, rate: float) -> float:
        """Of the time, what prompts take of each copy."""
        return min(rate * self.turn_s / self.copies, FULL)

    def requests_per_s(self, streams: float) -> float:
        """When so many are in the batch all the time."""
        shared_s = self.output_tokens * self.step_s(streams) / streams
        return 1 / (self.turn_s / self.copies + shared_s)

    @property
    def capacity_per_s(self) -> float:
        return self.requests_per_s(self.slots)


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """Means over requests. `streams`: in the batch at once."""

    streams: float
    ttft_s: float
    tpot_s: float
    requests_per_s: float
    tokens_per_s: float
    is_stable: bool = True


def closed_loop(service: Service, concurrency: int) -> Loaded:
    """So many clients, each with one request at a time and no pause."""
    streams = float(min(concurrency, service.slots))
    rate = service.requests_per_s(streams)
    cycle_s = streams / rate
    ttft_s = min(_first_s(service, rate, streams), cycle_s)
    slot_s = (concurrency - streams) / rate
    return Loaded(
        streams=streams,
        ttft_s=ttft_s + slot_s,
        tpot_s=max(service.step_s(streams), (cycle_s - ttft_s) / service.output_tokens),
        requests_per_s=rate,
        tokens_per_s=rate * service.output_tokens,
    )


def open_loop(service: Service, rate: float) -> Loaded:
    """Requests that come at `rate` a second whether or not others are done."""
    capacity = service.capacity_per_s
    if rate >= capacity * FULL:
        return Loaded(
            streams=service.slots,
            ttft_s=math.inf,
            tpot_s=service.step_s(service.slots),
            requests_per_s=capacity,
            tokens_per_s=capacity * service.output_tokens,
            is_stable=False,
        )
    streams = _streams_at(service, rate)
    busy = service.busy(rate)
    tpot_s = service.step_s(streams) / (1 - busy)
    life_s = service.output_tokens * tpot_s
    full = rate / capacity
    slot_s = full ** math.sqrt(2 * (service.slots + 1)) / (1 - full) * life_s / service.slots / 2
    return Loaded(
        streams=streams,
        ttft_s=_first_s(service, rate, streams) + slot_s,
        tpot_s=tpot_s,
        requests_per_s=rate,
        tokens_per_s=rate * service.output_tokens,
    )


def _streams_at(service: Service, rate: float) -> float:
    """Little's law: the batch at which as much leaves as comes, by halving."""
    low = 1.0
    high = float(service.slots)
    for _ in range(40):
        middle = (low + high) / 2
        if service.requests_per_s(middle) < rate:
            low = middle
        else:
            high = middle
    return high


def _first_s(service: Service, rate: float, streams: float) -> float:
    """Half a step until it is looked at, prompts before it, its own, and its first token."""
    busy = service.busy(rate)
    others = max(0.0, streams / service.copies - 1)
    waited_s = min(busy / (2 * (1 - busy)), others / 2) * service.turn_s
    step_s = service.step_s(streams)
    is_shared = 0.5 if streams > 1 else 0.0
    return is_shared * step_s + waited_s + service.prefill_s + step_s


def curve(service: Service) -> tuple[Loaded, ...]:
    """Closed loops of 1, 2, 4 ... streams up to all slots."""
    found = []
    streams = 1
    while streams < service.slots:
        found.append(closed_loop(service, streams))
        streams *= 2
    found.append(closed_loop(service, service.slots))
    return tuple(found)


def knee(points: tuple[Loaded, ...]) -> Loaded:
    """The last point before twice the streams give less than half as much again."""
    for before, after in itertools.pairwise(points):
        grown = after.tokens_per_s / before.tokens_per_s
        if grown < KNEE_GAIN ** math.log2(after.streams / before.streams):
            return before
    return points[-1]


def rate_within(service: Service, *, ttft_s: float, tpot_s: float) -> float:
    """The highest rate whose means stay below both; 0 where even one request does not."""
    low = 0.0
    high = service.capacity_per_s
    for _ in range(40):
        middle = (low + high) / 2
        found = open_loop(service, middle)
        if found.is_stable and found.ttft_s <= ttft_s and found.tpot_s <= tpot_s:
            low = middle
        else:
            high = middle
    return low
