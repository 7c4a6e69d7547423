"""What to do about a plan, each with its reason."""

from __future__ import annotations

import math

from llmops_cli.plan.slo import Limits
from llmops_cli.sizing.load import ServingLoad
from llmops_cli.sizing.queueing import Service, curve, knee, rate_within
from llmops_cli.sizing.speed import Placement

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
) -> tuple[str, ...]:
    """In order of weight."""
    found = []
    if slots < 1:
        found.append(
            "it does not fit: more cards, a smaller format (--quant), a smaller cache type or a "
            "shorter --context"
        )
        return tuple(found)
    best = rate_within(service, ttft_s=limits.ttft_s, tpot_s=limits.tpot_s)
    if rate is not None and best > 0:
        copies = math.ceil(rate * HEADROOM / best)
        found.append(
            f"{rate:g} requests a second need {copies} of these ({copies * place.devices} cards): "
            f"one does {best:.2f} within the limits, and a quarter is kept free"
        )
    elif rate is not None:
        found.append("no rate meets the limits here: even one request alone is slower")
    bend = knee(curve(service))
    found.append(
        f"beyond {bend.streams:.0f} streams twice as many give less than half as much again"
    )
    if place.gpu.has_flash_attention is False and engine == "vllm":
        found.append("FlashAttention 2 needs compute capability 8.0: vLLM falls back here")
    if load.scheme == "FP8" and place.gpu.has_fp8 is False:
        found.append("this card has no FP8 products: FP8 saves memory here, not time")
    if place.tensor > 1:
        found.append(
            "tensor parallelism shortens each token; as many copies of the model on fewer cards "
            "each give more tokens in all, where it fits"
        )
    return tuple(found)
