"""All of a run that is known before anything is sent: prompts, models, cases and their tasks."""

from __future__ import annotations

import math
from collections.abc import Iterator

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.prompt.case_file.findings import require_supported
from llmops_cli.prompt.case_file.read import read_suite
from llmops_cli.prompt.case_file.suite import Case, Check, NamedProvider, PromptSource, Suite
from llmops_cli.prompt.chats import chat_of, missing_names
from llmops_cli.prompt.checks.ranking import ranking_of
from llmops_cli.prompt.checks.structure import require_sql, require_valid_schema
from llmops_cli.prompt.checks.table import CHECKS, COMPARED, EMBEDDED, JUDGED, function_of
from llmops_cli.prompt.checks.verdict import Given, Misused
from llmops_cli.prompt.evals.outcome import EvalTask
from llmops_cli.prompt.evals.recipe import EvalRecipe
from llmops_cli.prompt.labels import told_apart
from llmops_cli.prompt.named_prompts import named_prompts
from llmops_cli.prompt.templates import MARKS, names_in

NOTHING_SAID = Given(
    text="",
    value="",
    latency_ms=0.0,
    cost=0.0,
    finish_reason="stop",
    log_probabilities=(0.0,),
)
"""An answer by which an assertion that is written wrongly shows it."""
SCHEMAS = ("is-json", "contains-json")
SQL = ("is-sql", "contains-sql")
MOST_NOTES = 8
CONVERSATION = "_conversation"
"""promptfoo's name of what was asked and said before."""


class PlannedModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model by name, None for the server's first, and what the file asks of it."""

    name: str | None
    settings: dict[str, object] = {}


class EvalPlan(msgspec.Struct, frozen=True, kw_only=True):
    """`notes`: what a reader should know before the start."""

    suite: Suite
    prompts: tuple[PromptSource, ...]
    models: tuple[PlannedModel, ...]
    tasks: tuple[EvalTask, ...]
    notes: tuple[str, ...]

    @property
    def told_notes(self) -> list[str]:
        """So many as a terminal has room for."""
        more = len(self.notes) - MOST_NOTES
        shown = list(self.notes[:MOST_NOTES])
        return [*shown, f"and {more} more notes, all in report.json"] if more > 0 else shown

    @property
    def cases(self) -> tuple[Case, ...]:
        return self.suite.cases


def eval_plan(recipe: EvalRecipe) -> EvalPlan:
    """Raises: UsageError for a file, a prompt or an assertion that cannot be used."""
    suite = read_suite(recipe.path)
    if not recipe.skip_unsupported:
        require_supported(suite.left_out)
    listed = named_prompts(recipe.prompt) if recipe.prompt else suite.prompts
    if not listed:
        raise UsageError(f"{recipe.cases} lists no prompts", hint="--prompt FILE")
    prompts = tuple(told_apart(listed))
    if not recipe.skip_unsupported:
        _require_single_turns(prompts)
    models = _models(recipe, suite)
    require_judges(suite, recipe)
    for case in suite.cases:
        for check in case.all_checks():
            _require_usable(check)
    for prompt in prompts:
        for case in suite.cases:
            if takes(case, prompt) and case.given_answer is None:
                chat_of(prompt, case)
    tasks = tuple(_tasks(suite, prompts, len(models), recipe.repeat))
    if not tasks:
        raise UsageError("no case is for any of the prompts", hint="their `prompts` name labels")
    notes = _notes(recipe, suite, prompts)
    return EvalPlan(suite=suite, prompts=prompts, models=models, tasks=tasks, notes=notes)


def _require_single_turns(prompts: tuple[PromptSource, ...]) -> None:
    """Raises: UsageError for a prompt that holds the answers to earlier cases."""
    for prompt in prompts:
        if CONVERSATION in names_in(prompt.text):
            raise UsageError(
                f"{prompt.where or prompt.label}: {CONVERSATION}, turns that hang on answers to "
                "earlier cases, is not supported",
                hint="--skip-unsupported leaves it empty",
            )


def takes(case: Case, prompt: PromptSource) -> bool:
    """Whether a case is for that prompt."""
    if not case.prompts:
        return True
    labels = {prompt.label, prompt.name or prompt.label}
    return any(_matches(label, wanted) for wanted in case.prompts for label in labels)


def _matches(label: str, wanted: str) -> bool:
    if wanted.endswith("*"):
        return label.startswith(wanted[:-1])
    return label == wanted


def _models(recipe: EvalRecipe, suite: Suite) -> tuple[PlannedModel, ...]:
    """Of the command line, else those of the file that an OpenAI-style server may know."""
    if recipe.model:
        if len(set(recipe.model)) < len(recipe.model):
            raise UsageError("a model is named twice", hint="--repeat asks each more than once")
        return tuple(PlannedModel(name=name) for name in recipe.model)
    known: dict[str, PlannedModel] = {}
    for provider in suite.providers:
        if not provider.model or not recipe.url:
            continue
        model = PlannedModel(name=provider.model, settings=provider.settings)
        if known.setdefault(provider.model, model) != model:
            raise UsageError(
                f"{provider.where}: model '{provider.model}' with other settings than above",
                hint="a file for each: the cells of a report are told apart by their models",
            )
    return tuple(known.values()) or (PlannedModel(name=None),)


def _tasks(
    suite: Suite,
    prompts: tuple[PromptSource, ...],
    models: int,
    repeats: int,
) -> Iterator[EvalTask]:
    """Prompts take turns, so that a slow spell meets all of them."""
    number = 0
    for model in range(models):
        for repeat in range(repeats):
            for case, asked in enumerate(suite.cases):
                for prompt, source in enumerate(prompts):
                    if takes(asked, source):
                        yield EvalTask(
                            number=number, model=model, prompt=prompt, case=case, repeat=repeat
                        )
                    number += 1


def require_judges(suite: Suite, recipe: EvalRecipe) -> None:
    """Raises: UsageError naming the first assertion that has nobody to judge it."""
    for case in suite.cases:
        for check in case.all_checks():
            asks = check.kind in JUDGED and check.kind not in EMBEDDED
            asks = asks or check.kind in ("select-best", "answer-relevance")
            if asks and not recipe.judge_url:
                raise UsageError(
                    f"{check.where}: {check.name} needs a judge",
                    hint="--judge-url URL --judge-model NAME",
                )
            has_embedder = recipe.embedding_model and (recipe.embedding_url or recipe.judge_url)
            if check.kind in EMBEDDED and not has_embedder:
                raise UsageError(
                    f"{check.where}: {check.name} needs embeddings",
                    hint="--embedding-url URL --embedding-model NAME",
                )


def _require_usable(check: Check) -> None:
    """What can be wrong with it whatever the answer. Raises: UsageError with its line."""
    try:
        if check.kind in SCHEMAS:
            require_valid_schema(check)
        if check.kind in SQL:
            require_sql(check)
        if check.kind in CHECKS and not _has_template(check.value):
            function_of(check.kind)(check, NOTHING_SAID)
        if check.kind == "max-score":
            ranking_of(check)
    except Misused as wrong:
        raise UsageError(f"{check.where}: {wrong}") from wrong
    if check.kind in COMPARED and check.is_negated:
        raise UsageError(f"{check.where}: {check.kind} has no not-")
    if check.weight < 0 or not math.isfinite(check.weight):
        raise UsageError(f"{check.where}: weight is 0 or more")


def _has_template(value: object) -> bool:
    """Whether a case's values decide what it is."""
    texts = value if isinstance(value, list) else [value]
    return any(isinstance(text, str) and mark in text for text in texts for mark in MARKS)


def _notes(
    recipe: EvalRecipe,
    suite: Suite,
    prompts: tuple[PromptSource, ...],
) -> tuple[str, ...]:
    notes = [str(each) for each in (*suite.left_out, *suite.notes)]
    for prompt in prompts:
        missing = missing_names(prompt, list(suite.cases))
        if missing:
            names = ", ".join(missing)
            notes.append(f"prompt {prompt.label} asks for {names}, which no case has")
        if prompt.name:
            notes.append(f"{prompt.label}: one of several called {prompt.name}, {prompt.where}")
    notes += _provider_notes(recipe, suite.providers)
    unchecked = sum(not case.checks for case in suite.cases)
    if unchecked:
        notes.append(f"{unchecked} of {len(suite.cases)} cases assert nothing, so they pass")
    return tuple(notes)


def _provider_notes(recipe: EvalRecipe, providers: tuple[NamedProvider, ...]) -> list[str]:
    notes = []
    for provider in providers:
        is_asked = provider.model is not None and recipe.url and not recipe.model
        if not is_asked:
            notes.append(f"{provider.where}: provider '{provider.id}' is not asked: --model is")
        elif provider.unsent:
            names = ", ".join(provider.unsent)
            notes.append(f"{provider.where}: of '{provider.id}' this is not done here: {names}")
    return notes
