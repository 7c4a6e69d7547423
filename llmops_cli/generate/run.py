"""`llmops generate`: every row asked once, its answer written down as it comes, then put in order.

A killed run goes on where it was: the same command finds its journal.
"""

from __future__ import annotations

from pathlib import Path

from llmops_cli.core.counted import counted
from llmops_cli.core.progress import Progress
from llmops_cli.generate.asking import DEMO, Asker
from llmops_cli.generate.journal import Journal
from llmops_cli.generate.output import journal_path, require_output, write_output
from llmops_cli.generate.plan import (
    BatchPlan,
    forecast_of,
    plan_of,
    planned_endpoint,
    prices_of,
    source_of,
)
from llmops_cli.generate.recipe import GenerateRecipe
from llmops_cli.generate.report import Forecast, GenerateReport, Stop
from llmops_cli.generate.row_records import write_records
from llmops_cli.generate.working import BatchWork
from llmops_cli.runtime.chat import ChatEndpoint
from llmops_cli.runtime.digests import digest_value
from llmops_cli.runtime.files import claimed
from llmops_cli.runtime.http import Http
from llmops_cli.runtime.keys import target_key
from llmops_cli.runtime.manifest import RunClock
from llmops_cli.runtime.runs import RunFolder
from llmops_cli.serving.start import RunningServer, started
from llmops_cli.serving.target import REMOTE, EngineTarget, check_target, prepare_target

OF_URL = 64
OF_ENGINE = 16
"""Requests in flight."""


def plan_generate(recipe: GenerateRecipe, output: Path | None, *, progress: Progress) -> Forecast:
    """What the run would take; nothing is sent or made. Raises: as `generate`, before its start."""
    check_target(_target(recipe))
    plan = plan_of(recipe, progress=progress)
    before = 0
    if output is not None and journal_path(output).exists():
        with claimed(output), _journal(plan, output, retry_errors=False) as journal:
            before = journal.before.answered
    return forecast_of(recipe, plan, answered_before=before)


def generate(
    recipe: GenerateRecipe,
    origins: dict[str, str],
    *,
    output: Path,
    folder: RunFolder,
    retry_errors: bool,
    overwrite: bool,
    progress: Progress,
) -> GenerateReport:
    """Asks the rows that the journal does not have yet, and writes `output`.

    What is wrong with the run is asked of the report (generate.gates). Raises: UsageError and
    EnvironmentMissing before anything is sent; EngineFailed if our engine ends, with what was
    done kept.
    """
    clock = RunClock()
    require_output(output, source_of(recipe), overwrite=overwrite)
    asked = _target(recipe)
    check_target(asked)
    plan = plan_of(recipe, progress=progress)
    key = target_key(recipe.api_key_env, recipe.url)
    with claimed(output), _journal(plan, output, retry_errors=retry_errors) as journal:
        if journal.before.answered:
            progress.say(f"answered before: {counted(journal.before.answered, 'row')}")
        prepared = prepare_target(asked, progress=progress)
        digests = prepared.digests()
        journal.require_model(digest_value(digests) if digests else "")
        concurrency = recipe.concurrency or (OF_URL if recipe.url else OF_ENGINE)
        with started(
            prepared,
            folder=folder,
            parallel=concurrency,
            progress=progress,
            http=Http(planned_endpoint(recipe).credentials()),
        ) as server:
            endpoint = _endpoint(recipe, server, key)
            work = BatchWork(recipe, plan, endpoint, journal, concurrency=concurrency)
            stopped = work.run(server=server, progress=progress)
            versions = server.versions()
        if stopped is not Stop.INTERRUPTED:
            write_output(output, plan.file, journal, Asker(recipe, endpoint))
        write_records(folder, plan.contents.keys, journal)
        manifest = clock.manifest(
            recipe,
            origins,
            versions=versions,
            seed=recipe.seed,
            complete=stopped is None,
            digests={"requests": plan.contents.digest},
        )
        report = work.report(manifest, output=str(output), stopped=stopped)
        folder.write_report(report)
        if not report.failed and not report.not_asked:
            journal.path.unlink()
    return report


def _target(recipe: GenerateRecipe) -> EngineTarget:
    """Batch rows that name their own models need none from the server."""
    model = recipe.model
    if model is None and recipe.backend != REMOTE:
        model = DEMO
    return EngineTarget(
        backend=recipe.backend,
        model=model,
        url=recipe.url,
        options=recipe.options,
    )


def _endpoint(recipe: GenerateRecipe, server: RunningServer, key: str) -> ChatEndpoint:
    return ChatEndpoint(
        url=server.url,
        model=server.model,
        key=key,
        dialect=recipe.dialect,
        prices=prices_of(recipe),
    )


def _journal(plan: BatchPlan, output: Path, *, retry_errors: bool) -> Journal:
    return Journal(
        journal_path(output),
        key=plan.key,
        rows=plan.contents.rows,
        forgets_errors=retry_errors,
    )
