"""`llmops prompt run`: every question by every technique, and the report of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from llmops_cli.core.case_names import NamedCase, named_cases
from llmops_cli.core.progress import Progress
from llmops_cli.core.report import Manifest
from llmops_cli.prompt.technique_run.asker import Usage
from llmops_cli.prompt.technique_run.cases import Case
from llmops_cli.prompt.technique_run.kept import (
    OUTCOMES,
    RECIPE,
    RunKey,
    require_same,
    spent_before,
)
from llmops_cli.prompt.technique_run.outcome import QuestionOutcome
from llmops_cli.prompt.technique_run.part import Prepared, RunPart
from llmops_cli.prompt.technique_run.plan import Plan, plan_digest
from llmops_cli.prompt.technique_run.recipe import PromptRunRecipe
from llmops_cli.prompt.technique_run.report import PromptRunReport
from llmops_cli.prompt.technique_run.results import pairs_of, shown_answers, technique_result
from llmops_cli.prompt.technique_run.target import engine_target
from llmops_cli.runtime.chat import require_answer
from llmops_cli.runtime.digests import digest_value
from llmops_cli.runtime.files import locked, to_json, write_atomic
from llmops_cli.runtime.http import Http
from llmops_cli.runtime.keys import bearer
from llmops_cli.runtime.manifest import RunClock
from llmops_cli.runtime.outcomes import StopReason, read_outcomes
from llmops_cli.runtime.runs import RunFolder
from llmops_cli.serving.start import started
from llmops_cli.serving.target import check_target, prepare_target

MOST_NAME_CHARS = 120


def prompt_run(
    recipe: PromptRunRecipe,
    origins: dict[str, str],
    plan: Plan,
    *,
    folder: RunFolder,
    progress: Progress,
) -> PromptRunReport:
    """Asks what `folder` does not have yet, and writes its report.

    Raises: UsageError and EnvironmentMissing before anything is sent or made; EngineFailed if our
    engine ends, with what was done kept for --resume.
    """
    asked = engine_target(recipe)
    check_target(asked)
    if plan.evaluator is not None:
        require_answer(plan.evaluator, field="evaluator_url")
    target = prepare_target(asked, progress=progress)
    http = Http(bearer(plan.key))
    digests = target.digests()
    with locked(folder.path / "prompt-run"):
        model = digest_value(digests) if digests else ""
        key = RunKey(plan=plan_digest(recipe, plan), model=model)
        require_same(folder.path, key, progress)
        clock = RunClock()
        with started(
            target, folder=folder, parallel=recipe.concurrency, progress=progress, http=http
        ) as server:
            write_atomic(folder.path / RECIPE, to_json(recipe))
            versions = server.versions()
            part = RunPart(recipe, plan, server, folder.path, progress)
            stopped = part.all()
        manifest = clock.manifest(
            recipe,
            origins,
            versions=versions,
            seed=recipe.seed,
            complete=stopped is None,
            digests=digests,
        )
        report = _report(manifest, plan, folder.path, part.prepared, stopped)
        folder.write_report(report)
    return report


def _report(
    manifest: Manifest,
    plan: Plan,
    folder: Path,
    prepared: dict[str, Prepared],
    stopped: StopReason | None,
) -> PromptRunReport:
    """Of all parts of the run so far."""
    found = read_outcomes(folder / OUTCOMES, QuestionOutcome).outcomes
    outcomes = {
        name: [found[task.number] for task in plan.tasks(name) if task.number in found]
        for name in plan.techniques
    }
    results = {}
    for name, of_technique in outcomes.items():
        before = prepared.get(name) or Prepared(usage=Usage())
        results[name] = technique_result(
            of_technique, preparation=before.usage, examples_made=before.examples_made
        )
    spent = spent_before(folder)
    cost = None
    if plan.prices.are_given:
        cost = plan.prices.cost(spent.input_tokens, spent.output_tokens)
    return PromptRunReport(
        manifest=manifest,
        questions=len(plan.cases),
        techniques=results,
        pairs=pairs_of(outcomes),
        answers=shown_answers(plan.cases, outcomes),
        calls=spent.calls,
        input_tokens=spent.input_tokens,
        output_tokens=spent.output_tokens,
        cost=cost,
        stopped=stopped,
        named_cases=_names(plan.cases),
    )


def _names(cases: Sequence[Case]) -> list[NamedCase]:
    """Each by its id, or its question."""
    titles = [(case.id or " ".join(case.question.split()))[:MOST_NAME_CHARS] for case in cases]
    return named_cases(titles, [digest_value([case.question, case.answer]) for case in cases])
