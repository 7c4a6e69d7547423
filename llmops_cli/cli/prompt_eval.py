"""`llmops prompt eval`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from llmops_cli.cli.late import add_late
from llmops_cli.cli.options import Given, recipe_command
from llmops_cli.cli.settings import JSON, OUTPUT, RECIPE

if TYPE_CHECKING:
    from llmops_cli.core.conditions import Condition
    from llmops_cli.core.resolve import Resolved
    from llmops_cli.prompt.evals.recipe import EvalRecipe
    from llmops_cli.prompt.evals.report import EvalReport
    from llmops_cli.runtime.runs import RunFolder


def register(group: typer.Typer) -> None:
    add_late(group, evaluate, _make, name="eval")


def _make(app: typer.Typer) -> None:
    from llmops_cli.prompt.evals.recipe import EvalRecipe

    app.command("eval")(recipe_command(evaluate, EvalRecipe))


def evaluate(
    given: Given,
    *,
    fail_if: list[str] = typer.Option(
        None, help="Exit 5 if it holds in any cell: 'pass_rate < 90%'. May be repeated."
    ),
    resume: Path = typer.Option(None, help="The folder of a run that was broken off."),
    junit: Path = typer.Option(None, help="Also write JUnit XML."),
    watch: bool = typer.Option(
        False, "--watch", help="Again whenever the cases or a prompt change, until Ctrl-C."
    ),
    recipe: Path = RECIPE,
    output: Path = OUTPUT,
    as_json: bool = JSON,
) -> None:
    """Prompts and models against cases with assertions: a matrix, compared in pairs."""
    from llmops_cli.cli.settings import resolved
    from llmops_cli.prompt.evals.gates import error_of, read_conditions
    from llmops_cli.prompt.evals.recipe import MAY_CHANGE, EvalRecipe
    from llmops_cli.runtime.runs import RunFolder

    if resume is not None:
        recipe, output = resumed(
            resume, given, recipe, output, command="prompt eval", may_change=MAY_CHANGE
        )
    conditions = read_conditions(fail_if or [])
    found = resolved(EvalRecipe, given, command="prompt-eval", file=recipe, old_names=False)
    if watch:
        _watch(found, conditions, as_json=as_json)
        return
    folder = RunFolder("prompt-eval", found.recipe.path.stem, chosen=output)
    if resume is None:
        folder.require_unused(outcomes="outcomes.jsonl")
    report = _run(found, folder, conditions, junit=junit, as_json=as_json)
    error = error_of(report, conditions, folder.path)
    if error is not None:
        raise error


def _run(
    found: Resolved[EvalRecipe],
    folder: RunFolder,
    conditions: list[Condition],
    *,
    junit: Path | None,
    as_json: bool,
) -> EvalReport:
    from llmops_cli.cli.screen import TerminalProgress, print_json, print_kept
    from llmops_cli.prompt.evals.plan import eval_plan
    from llmops_cli.prompt.evals.possible import require_possible
    from llmops_cli.prompt.evals.run import evaluate as run
    from llmops_cli.prompt.evals.run import write_exports
    from llmops_cli.prompt.evals.show import DROPPABLE, eval_table
    from llmops_cli.show.tables import Narrowed

    plan = eval_plan(found.recipe)
    require_possible(conditions, found.recipe, plan)
    with TerminalProgress() as progress:
        for note in plan.told_notes:
            progress.say(f"note: {note}")
        try:
            report = run(found.recipe, found.origins, plan=plan, folder=folder, progress=progress)
        finally:
            folder.forget_if_empty()
    write_exports(report, plan, folder, junit=junit)
    if as_json:
        print_json(report)
    else:
        table = Narrowed(eval_table(report), droppable=DROPPABLE)
        place = f"report: {folder.path / 'report.json'}    page: {folder.path / 'report.html'}"
        print_kept(table, place)
    return report


def _watch(
    found: Resolved[EvalRecipe],
    conditions: list[Condition],
    *,
    as_json: bool,
) -> None:
    """Each time a new run; what is wrong with one is told, and does not end it."""
    from llmops_cli.cli.screen import say
    from llmops_cli.core.errors import LlmopsError
    from llmops_cli.prompt.evals.gates import error_of
    from llmops_cli.prompt.evals.watch import stamps_of, wait_for_change, watched_files
    from llmops_cli.runtime.runs import RunFolder

    while True:
        files = watched_files(found.recipe)
        since = stamps_of(files)
        folder = RunFolder("prompt-eval", found.recipe.path.stem)
        try:
            report = _run(found, folder, conditions, junit=None, as_json=as_json)
            error = error_of(report, conditions, folder.path)
        except LlmopsError as wrong:
            error = wrong
        if error is not None:
            if error.exit_code == 130:
                raise error
            say(f"error: {error.message}")
        say("waiting for a change; Ctrl-C ends")
        wait_for_change(files, since=since)


def resumed(
    resume: Path,
    given: Given,
    recipe: Path | None,
    output: Path | None,
    *,
    command: str,
    may_change: Sequence[str],
) -> tuple[Path, Path]:
    """The recipe and the folder of a run that goes on; these fields may be given anew.

    Raises: UsageError for any other.
    """
    from llmops_cli.core.errors import UsageError

    if output or recipe or not set(may_change).issuperset(given):
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in may_change)
        raise UsageError(
            "--resume repeats the run's own recipe",
            hint=f"llmops {command} --resume FOLDER, and perhaps {flags}",
        )
    kept = resume / "recipe.json"
    if not kept.is_file():
        raise UsageError(f"{resume} holds no run of llmops {command}")
    return kept, resume
