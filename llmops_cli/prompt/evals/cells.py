"""Outcomes as cells of a matrix, and cells against one another in pairs."""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from llmops_cli.core.significance import (
    SURE,
    clustered_share,
    holm,
    paired_interval,
    sign_flip_p,
)
from llmops_cli.core.stats import percentile
from llmops_cli.prompt.evals.outcome import EvalOutcome, EvalTask
from llmops_cli.prompt.evals.plan import EvalPlan
from llmops_cli.prompt.evals.report import CellName, EvalCell, EvalPair

Place = tuple[int, int]
"""Numbers of a prompt and a model."""
Outcomes = Mapping[int, EvalOutcome]
MOST_PAIRED = 12
"""Cells of which every two are compared; more are each compared with the first."""


def cells_of(plan: EvalPlan, outcomes: Outcomes, models: Sequence[str]) -> list[EvalCell]:
    """In the order of prompts, then models. `models`: their names as they answered."""
    groups = _groups(plan)
    return [_cell(plan, place, groups.get(place, []), outcomes, models) for place in _places(plan)]


def _places(plan: EvalPlan) -> list[Place]:
    prompts = range(len(plan.prompts))
    models = range(len(plan.models))
    return list(itertools.product(prompts, models))


def _groups(plan: EvalPlan) -> dict[Place, list[EvalTask]]:
    groups: dict[Place, list[EvalTask]] = defaultdict(list)
    for task in plan.tasks:
        groups[task.prompt, task.model].append(task)
    return groups


def _cell(
    plan: EvalPlan,
    place: Place,
    tasks: Sequence[EvalTask],
    outcomes: Outcomes,
    models: Sequence[str],
) -> EvalCell:
    had = [outcomes[task.number] for task in tasks if task.number in outcomes]
    decided = [each for each in had if each.is_decided]
    kinds = Counter(each.error for each in had if not each.is_decided)
    shares = shares_of(tasks, outcomes)
    latencies = sorted(each.latency_ms for each in had if each.latency_ms is not None)
    passes = sum(each.passed for each in decided)
    costs = [each.cost for each in had if each.cost is not None]
    scores = [each.score.score for each in decided if each.score is not None]
    prompt, model = place
    return EvalCell(
        prompt=plan.prompts[prompt].label,
        model=models[model],
        n=len(decided),
        cases=len(shares),
        passes=passes,
        pass_rate=passes / len(decided) if decided else None,
        ci95=clustered_share(list(shares.values()), len(decided)) if decided else None,
        score=math.fsum(scores) / len(scores) if scores else None,
        errors=len(had) - len(decided),
        tokens=sum(each.input_tokens + each.output_tokens for each in had),
        input_tokens=sum(each.input_tokens for each in had),
        output_tokens=sum(each.output_tokens for each in had),
        cost=round(math.fsum(costs), 9) if costs else None,
        latency_p50_ms=_percentile(latencies, 50),
        latency_p95_ms=_percentile(latencies, 95),
        cached=sum(each.is_cached for each in had),
        metrics=_metrics(decided),
        error_kinds=dict(kinds.most_common()),
    )


def _percentile(ordered: Sequence[float], q: float) -> float | None:
    if not ordered:
        return None
    return round(percentile(ordered, q), 3)


def _metrics(decided: Sequence[EvalOutcome]) -> dict[str, float]:
    """The mean of each, over the answers that have it."""
    values: dict[str, list[float]] = defaultdict(list)
    for outcome in decided:
        if outcome.score is not None:
            for name, value in outcome.score.metrics.items():
                values[name].append(value)
    return {name: math.fsum(each) / len(each) for name, each in sorted(values.items())}


def shares_of(tasks: Sequence[EvalTask], outcomes: Outcomes) -> dict[int, float]:
    """Of each case with a verdict, the share of its repeats that pass."""
    passed: dict[int, list[bool]] = defaultdict(list)
    for task in tasks:
        outcome = outcomes.get(task.number)
        if outcome is not None and outcome.is_decided:
            passed[task.case].append(outcome.passed)
    return {case: sum(each) / len(each) for case, each in passed.items()}


def pairs_of(
    plan: EvalPlan,
    outcomes: Outcomes,
    cells: Sequence[EvalCell],
) -> list[EvalPair]:
    """Every two cells, with p-values adjusted for their number."""
    groups = _groups(plan)
    shares = [shares_of(groups.get(place, []), outcomes) for place in _places(plan)]
    numbers = pair_numbers(len(cells))
    differences = [_differences(shares[a], shares[b]) for a, b in numbers]
    values = [sign_flip_p(each) for each in differences]
    adjusted = holm(values)
    pairs = []
    for (a, b), each, p, sure in zip(numbers, differences, values, adjusted, strict=True):
        if each:
            pairs.append(_pair(cells[a], cells[b], each, p, sure))
    return pairs


def pair_numbers(cells: int) -> list[tuple[int, int]]:
    """Which of so many cells are compared."""
    if cells > MOST_PAIRED:
        return [(0, other) for other in range(1, cells)]
    return list(itertools.combinations(range(cells), 2))


def _differences(first: Mapping[int, float], second: Mapping[int, float]) -> list[float]:
    """Of each case that both have; above 0 where the second passes more."""
    return [second[case] - share for case, share in first.items() if case in second]


def _pair(
    a: EvalCell,
    b: EvalCell,
    differences: Sequence[float],
    p: float,
    adjusted: float,
) -> EvalPair:
    mean = math.fsum(differences) / len(differences)
    better = None
    if adjusted < SURE:
        better = "b" if mean > 0 else "a"
    return EvalPair(
        a=CellName(prompt=a.prompt, model=a.model),
        b=CellName(prompt=b.prompt, model=b.model),
        cases=len(differences),
        only_a=sum(each < 0 for each in differences),
        only_b=sum(each > 0 for each in differences),
        difference=mean,
        ci95=paired_interval(differences),
        p=p,
        p_adjusted=adjusted,
        better=better,
    )
