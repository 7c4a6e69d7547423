"""Every answer of a run beside its case: what pages and files of other tools are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from llmops_cli.prompt.case_file.suite import Case
from llmops_cli.prompt.evals.outcome import EvalOutcome
from llmops_cli.prompt.evals.plan import EvalPlan

MOST_TITLE_CHARS = 120


class AnswerRow(msgspec.Struct, frozen=True, kw_only=True):
    """One answer by the names of its cell and case."""

    prompt: str
    model: str
    case: int
    title: str
    repeat: int
    variables: dict[str, object]
    outcome: EvalOutcome


def answer_rows(
    plan: EvalPlan,
    outcomes: Mapping[int, EvalOutcome],
    models: Sequence[str],
) -> list[AnswerRow]:
    """In the order of cases."""
    rows = []
    tasks = sorted(plan.tasks, key=lambda task: (task.case, task.prompt, task.model, task.repeat))
    for task in tasks:
        outcome = outcomes.get(task.number)
        if outcome is None:
            continue
        case = plan.cases[task.case]
        row = AnswerRow(
            prompt=plan.prompts[task.prompt].label,
            model=models[task.model],
            case=task.case,
            title=title_of(case, task.case),
            repeat=task.repeat,
            variables=case.variables,
            outcome=outcome,
        )
        rows.append(row)
    return rows


def title_of(case: Case, number: int) -> str:
    """Its description, or its values."""
    if case.description:
        return case.description
    parts = [f"{name}={value}" for name, value in case.variables.items()]
    words = " ".join(", ".join(parts).split())
    return words[:MOST_TITLE_CHARS] or f"case {number + 1}"


def verdict_word(outcome: EvalOutcome) -> str:
    if not outcome.is_decided:
        return "error"
    return "pass" if outcome.passed else "fail"


def reason_of(outcome: EvalOutcome) -> str:
    """Why it did not pass."""
    if outcome.error:
        return outcome.error
    return outcome.score.reason if outcome.score is not None else ""
