"""What to do about a plan, each with its reason."""

from __future__ import annotations

import math
from collections.abc import Iterator

from llmops_cli.plan.slo import Limits
from llmops_cli.sizing.gpu_features import lacking
from llmops_cli.sizing.load import ServingLoad
from llmops_cli.sizing.placement import Placement
from llmops_cli.sizing.queueing import Service, rate_within

HEADROOM = 1.25


def advice_of(
    *,
    load: ServingLoad,
    place: Placement,
    engine: str,
    slots: int,
    service: Service,
    limits: Limits,
    rate: float | None,
    bend: float,
) -> tuple[str, ...]:
    """In order of weight. `bend`: streams at the curve's knee."""
    found = []
    if slots < 1:
        found.append(
            "it does not fit: more cards, a smaller format (--quant), a smaller cache type or a "
            "shorter --context"
        )
        return tuple(found)
    if rate is not None:
        best = rate_within(service, ttft_s=limits.ttft_s, tpot_s=limits.tpot_s)
        found.append(_copies(rate, best, place.devices))
    found.append(f"beyond {bend:.0f} streams twice as many give less than half as much again")
    found.extend(_lacking(load, place, engine=engine))
    return tuple(found)


def _copies(rate: float, best: float, devices: int) -> str:
    if best <= 0:
        return "no rate meets the limits here: even one request alone is slower"
    copies = math.ceil(rate * HEADROOM / best)
    return (
        f"for {rate:g} requests a second: {copies} of these (GPUs: {copies * devices}); "
        f"one does {best:.2f} within the limits, and a quarter is kept free"
    )


def _lacking(load: ServingLoad, place: Placement, *, engine: str) -> Iterator[str]:
    """What the card has no kernels for, and what happens then."""
    capability = place.gpu.facts.capability
    if capability is None:
        return
    for feature in lacking(capability, scheme=load.scheme, engine=engine):
        yield f"{place.gpu.name} ({capability:g}) has no {feature.name}: {feature.without}"
