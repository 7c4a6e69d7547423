"""Several cards, formats and engines for one model, side by side."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.plan.recipe import PlanRecipe
from llmops_cli.plan.report import PlanDetail
from llmops_cli.plan.run import plan_serve

COLUMNS = (
    "fits",
    "weights_bytes",
    "max_concurrency",
    "decode_tps",
    "ttft_ms",
    "tpot_ms",
    "throughput_tps",
    "cost_per_million_tokens",
)


def compare_plans(
    recipe: PlanRecipe,
    *,
    gpus: Sequence[str],
    quants: Sequence[str | None],
    engines: Sequence[str | None],
) -> list[PlanDetail]:
    """Each with each, the cheapest first and what does not fit last.

    Raises: UsageError for a name that is not known.
    """
    if not gpus:
        raise UsageError("no card is named", hint="--gpu h100,l4")
    details = []
    for gpu, quant, engine in itertools.product(gpus, quants, engines):
        asked = {"gpu": gpu, "quant": quant, "engine": engine}
        wanted = msgspec.structs.replace(recipe, **asked)
        details.append(plan_serve(msgspec.convert(msgspec.to_builtins(wanted), PlanRecipe)))
    return sorted(details, key=_order)


def _order(detail: PlanDetail) -> tuple[bool, float]:
    cost = detail.plan.cost_per_million_tokens.value
    fits = detail.plan.fits.value is True
    return not fits, float("inf") if cost is None else float(cost)
