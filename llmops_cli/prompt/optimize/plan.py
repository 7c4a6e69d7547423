"""All of an optimization that is known before anything is sent, with what its budget buys."""

from __future__ import annotations

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.prompt.case_file.read import read_suite
from llmops_cli.prompt.case_file.suite import Case, PromptSource
from llmops_cli.prompt.checks.table import COMPARED, EMBEDDED, JUDGED
from llmops_cli.prompt.evals.plan import EvalPlan, PlannedModel, eval_plan, takes
from llmops_cli.prompt.optimize.acceptance import LEAST_TEST
from llmops_cli.prompt.optimize.candidate import base_messages, is_plain, system_text
from llmops_cli.prompt.optimize.halving import (
    Forecast,
    forecast,
    least_calls,
    least_written_calls,
    written_forecast,
)
from llmops_cli.prompt.optimize.recipe import OptimizeRecipe
from llmops_cli.prompt.optimize.splits import Splits, split_cases
from llmops_cli.prompt.optimize.wordings import wordings_with


class OptimizePlan(msgspec.Struct, frozen=True, kw_only=True):
    """`evaluation` is of the base alone: what each answer is asked and judged by."""

    evaluation: EvalPlan
    source: PromptSource
    model: PlannedModel
    splits: Splits
    wordings: dict[str, str]
    forecast: Forecast

    @property
    def cases(self) -> tuple[Case, ...]:
        return self.evaluation.cases

    @property
    def notes(self) -> tuple[str, ...]:
        return self.evaluation.notes

    @property
    def told_notes(self) -> list[str]:
        return self.evaluation.told_notes


def optimize_plan(recipe: OptimizeRecipe) -> OptimizePlan:
    """Raises: UsageError for what cannot be used, or a budget that buys no proposal."""
    _require_no_judges(recipe)
    evaluation = eval_plan(recipe.as_eval())
    source = _only_prompt(evaluation, recipe)
    if len(evaluation.models) > 1:
        raise UsageError(f"{recipe.cases} names several models", hint="--model NAME")
    _require_changeable(source, evaluation.cases)
    if recipe.proposer:
        _require_plain_system(source)
    splits = _splits(recipe, source, evaluation.cases)
    for text in recipe.instruction:
        if not text.strip() or not is_plain(text):
            raise UsageError(f"--instruction '{text}' is no plain text", hint="without {{ }}")
    sizes = splits.sizes
    least = least_written_calls(**sizes) if recipe.proposer else least_calls(**sizes)
    if recipe.calls < least:
        raise UsageError(
            f"{recipe.calls} calls buy no proposal: one takes {least} with its test",
            hint=f"--budget-calls {least} or more, or fewer cases",
        )
    return OptimizePlan(
        evaluation=evaluation,
        source=source,
        model=evaluation.models[0],
        splits=splits,
        wordings=wordings_with(recipe.instruction),
        forecast=_forecast(recipe, sizes),
    )


def _forecast(recipe: OptimizeRecipe, sizes: dict[str, int]) -> Forecast:
    count = written_forecast if recipe.proposer else forecast
    return count(recipe.calls, **sizes)


def forecast_line(recipe: OptimizeRecipe, plan: OptimizePlan) -> str:
    """What the budget buys, for the start."""
    found = plan.forecast
    sizes = ", ".join(f"{name} {size}" for name, size in plan.splits.sizes.items())
    return (
        f"{recipe.calls} calls buy about {found.proposals} proposals in {found.rounds} rounds: "
        f"{found.search} for them, {found.base} for the prompt as it is, {found.test} kept "
        f"for the test (cases: {sizes})"
    )


def _require_no_judges(recipe: OptimizeRecipe) -> None:
    for case in read_suite(recipe.path).cases:
        for check in case.all_checks():
            if check.kind in JUDGED or check.kind in EMBEDDED or check.kind in COMPARED:
                raise UsageError(
                    f"{check.where}: {check.name} needs a model, or other answers, to judge",
                    hint="optimize takes assertions that decide on one answer alone",
                )


def _only_prompt(evaluation: EvalPlan, recipe: OptimizeRecipe) -> PromptSource:
    if len(evaluation.prompts) > 1:
        count = len(evaluation.prompts)
        raise UsageError(f"{count} prompts, and one can be optimized", hint="--prompt FILE")
    return evaluation.prompts[0]


def _require_changeable(source: PromptSource, cases: tuple[Case, ...]) -> None:
    """Raises: UsageError for a prompt whose parts cannot be told from one another."""
    base_messages(source)
    for case in cases:
        if case.options.prefix or case.options.suffix:
            raise UsageError(
                f"{case.where}: a prefix or suffix of a prompt that is optimized",
                hint="write it into the prompt",
            )


def _require_plain_system(source: PromptSource) -> None:
    """A proposer writes it anew as a whole, so what stands for a value would be lost."""
    if not is_plain(system_text(base_messages(source))):
        raise UsageError(
            f"the system message of prompt '{source.label}' has variables, and --proposer "
            "writes another in its place",
            hint="move what has {{variables}} into the user's message",
        )


def _splits(recipe: OptimizeRecipe, source: PromptSource, cases: tuple[Case, ...]) -> Splits:
    if recipe.train_share + recipe.validation_share >= 1:
        raise UsageError(
            "--train-share and --validation-share leave no case for the test",
            hint="0.4 and 0.2 leave 0.4",
        )
    usable = [number for number, case in enumerate(cases) if _is_asked(case, source)]
    found = split_cases(cases, usable, train=recipe.train_share, validation=recipe.validation_share)
    sizes = ", ".join(f"{name} {size}" for name, size in found.sizes.items())
    if not found.train or not found.validation or len(found.test) < LEAST_TEST:
        raise UsageError(
            f"{len(usable)} cases are too few ({sizes}): a test of fewer than {LEAST_TEST} "
            "cases can accept nothing",
            hint="more cases, or other --train-share and --validation-share",
        )
    return found


def _is_asked(case: Case, source: PromptSource) -> bool:
    return case.given_answer is None and takes(case, source)
