"""Several cards, formats and engines for one model, side by side."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.core.misfit import misfit_of
from llmops_cli.plan.recipe import PlanRecipe
from llmops_cli.plan.report import PlanDetail
from llmops_cli.plan.run import plan_serve
from llmops_cli.plan.slo import Kept

USUAL_CONCURRENCY = 16
KEPT_ORDER = (None, Kept.YES, Kept.UNSURE, Kept.NO)


def compare_plans(
    recipe: PlanRecipe,
    *,
    gpus: Sequence[str],
    quants: Sequence[str] = (),
    engines: Sequence[str] = (),
) -> list[PlanDetail]:
    """Each with each: those within the limits first, the cheapest of them before the others.

    What is not listed is as the recipe has it. Raises: UsageError for a name that is not known.
    """
    if not gpus and recipe.gpu is None and not recipe.this_machine:
        raise UsageError("no card is named", hint="--gpu h100,l4; llmops plan gpus lists them")
    if recipe.rate is None and recipe.concurrency is None:
        recipe = msgspec.structs.replace(recipe, concurrency=USUAL_CONCURRENCY)
    details = []
    choices = (gpus or (recipe.gpu,), quants or (recipe.quant,), engines or (recipe.engine,))
    for gpu, quant, engine in itertools.product(*choices):
        wanted = _checked(recipe, {"gpu": gpu, "quant": quant, "engine": engine})
        details.append(plan_serve(wanted))
    return sorted(details, key=_order)


def _checked(recipe: PlanRecipe, changes: dict[str, str | None]) -> PlanRecipe:
    """Raises: UsageError for an engine that there is not."""
    wanted = {**msgspec.to_builtins(recipe), **changes}
    misfit = misfit_of(wanted, PlanRecipe)
    if misfit is not None:
        raise UsageError(misfit.told, hint=misfit.hint)
    return msgspec.convert(wanted, PlanRecipe)


def _order(detail: PlanDetail) -> tuple[bool, int, float]:
    cost = detail.plan.cost_per_million_tokens.value
    fits = detail.plan.fits.value is True
    kept = KEPT_ORDER.index(detail.keeps_slo)
    return not fits, kept, math.inf if cost is None else float(cost)


def compared_rows(details: Sequence[PlanDetail]) -> list[dict[str, object]]:
    """As JSON has them."""
    return [
        {"title": each.title, "keeps_slo": each.keeps_slo, **each.plan.figures()}
        for each in details
    ]
