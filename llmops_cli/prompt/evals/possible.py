"""Whether a condition (`--fail-if`) can tell anything of a run as it is planned."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from llmops_cli.core.conditions import Condition, Unit, require_telling
from llmops_cli.core.errors import UsageError
from llmops_cli.core.significance import SURE, mcnemar_p
from llmops_cli.prompt.evals.cells import pair_numbers
from llmops_cli.prompt.evals.gates import WORSE
from llmops_cli.prompt.evals.plan import EvalPlan
from llmops_cli.prompt.evals.recipe import EvalRecipe


def require_possible(
    conditions: Sequence[Condition],
    recipe: EvalRecipe,
    plan: EvalPlan,
) -> None:
    """Raises: UsageError for the first that holds, or does not, whatever is measured."""
    for condition in conditions:
        if condition.metric == WORSE:
            _require_worse(condition, plan)
        elif condition.metric == "cost" and not (recipe.price_in or recipe.price_out):
            raise UsageError(
                f"{condition.text} needs prices", hint="--price-in and --price-out, for a million"
            )
        elif condition.metric != "score":  # a package's assertion scores as it likes
            high = _highest(condition, plan)
            require_telling(condition, low=0, high=high, hint=_hint(condition))


def _hint(condition: Condition) -> str | None:
    if condition.metric == "pass_rate":
        return "a share from 0% to 100%"
    return None


def _highest(condition: Condition, plan: EvalPlan) -> float:
    """Of any cell."""
    if condition.metric == "pass_rate" or condition.unit is Unit.PERCENT:
        return 1
    if condition.metric == "errors":
        return max(_sizes(plan).values())
    return math.inf


def _sizes(plan: EvalPlan) -> Counter[tuple[int, int]]:
    """Tasks of each cell."""
    return Counter((task.prompt, task.model) for task in plan.tasks)


def _require_worse(condition: Condition, plan: EvalPlan) -> None:
    others = len(plan.prompts) * len(plan.models) - 1
    if not others:
        raise UsageError(
            f"{condition.text} can never hold: one prompt under one model is compared with none",
            hint="another --prompt or --model",
        )
    require_telling(condition, low=0, high=others)
    cases = _most_shared(plan)
    pairs = len(pair_numbers(others + 1))
    surest = pairs * mcnemar_p(cases, 0)
    if surest >= SURE:
        raise UsageError(
            f"{condition.text} can never hold: {cases} cases make nothing sure "
            f"(p {surest:.2g} at best, below {SURE:g} is sure)",
            hint=f"{_fewest(pairs)} cases or more",
        )


def _most_shared(plan: EvalPlan) -> int:
    """Cases that the first cell has together with another, at most."""
    cases: dict[tuple[int, int], set[int]] = {}
    for task in plan.tasks:
        cases.setdefault((task.prompt, task.model), set()).add(task.case)
    first = cases.pop((0, 0), set())
    return max((len(first & each) for each in cases.values()), default=0)


def _fewest(pairs: int) -> int:
    cases = 1
    while pairs * mcnemar_p(cases, 0) >= SURE:
        cases += 1
    return cases
