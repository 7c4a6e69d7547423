"""`llmops bench`: starts the engine, runs the levels, keeps the report true, come what may."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from llmops_cli.bench.apis import check_model
from llmops_cli.bench.arrivals import Load, loads_of
from llmops_cli.bench.headers import headers_of
from llmops_cli.bench.idle import check_idle
from llmops_cli.bench.levels import LevelRunner
from llmops_cli.bench.measured import MeasuredLevels
from llmops_cli.bench.pool import WorkerPool
from llmops_cli.bench.prepare import (
    checked_slos,
    make_workload,
    most_streams,
    normalized_rows,
    require_rows,
    words_of,
    workers_needed,
)
from llmops_cli.bench.probes import RateProbes
from llmops_cli.bench.recipe import BenchRecipe
from llmops_cli.bench.report import BenchReport, Conclusion, Level
from llmops_cli.bench.search import knee
from llmops_cli.bench.slo import Slo
from llmops_cli.bench.target import resolve_target
from llmops_cli.core.errors import EngineFailed, GateFailed, Interrupted, LlmopsError
from llmops_cli.core.progress import Progress
from llmops_cli.core.report import Memory, StartUp
from llmops_cli.runtime.files import to_json, write_atomic
from llmops_cli.runtime.http import Http
from llmops_cli.runtime.manifest import RunClock
from llmops_cli.serving.first_token import first_token_s
from llmops_cli.serving.start import RunningServer, started
from llmops_cli.serving.target import EngineTarget, PreparedTarget, prepare_target
from llmops_cli.serving.telemetry import Telemetry


def target_of(recipe: BenchRecipe, origins: Mapping[str, str]) -> EngineTarget:
    """What the recipe loads. A server's own first model is taken where nobody named one."""
    has_name = origins.get("model", "default") != "default"
    is_named = has_name or not recipe.url
    return EngineTarget(
        backend=recipe.backend,
        model=recipe.model if is_named else None,
        url=recipe.url,
        options=recipe.options,
    )


def check_wish(recipe: BenchRecipe) -> None:
    """Raises: UsageError for what is wrong with it, before anything is made for it."""
    headers_of(recipe)
    loads_of(recipe)
    checked_slos(recipe)
    require_rows(recipe)


def bench(
    recipe: BenchRecipe,
    origins: dict[str, str],
    *,
    folder: Path,
    progress: Progress,
    target: PreparedTarget | None = None,
) -> BenchReport:
    """Runs every level and writes report.json, report.csv and records.csv into `folder`.

    `target`: what is loaded, if somebody has prepared it already. What makes the run invalid is
    asked of `problems_of`. Raises: EngineFailed, GateFailed or Interrupted after writing what was
    measured (manifest.complete is then false).
    """
    check_idle(recipe, origins)
    headers = headers_of(recipe)
    loads = loads_of(recipe)
    slos = checked_slos(recipe)
    measured = _levels_to_come(recipe, folder)
    try:
        place = measured.spools.folder / "workload"
        rows = None
        normalized = normalized_rows(recipe, place)
        if normalized is not None:
            rows = place
            measured.book.notes += normalized.notes
        if target is None:
            asked = target_of(recipe, origins)
            target = prepare_target(asked, progress=progress)
        check_model(recipe, target.artifact)
    except LlmopsError:
        measured.give_up()
        raise
    book = _ReportBook(recipe, origins, target, folder)
    run = _Run(
        recipe=recipe,
        loads=loads,
        slos=slos,
        rows=rows,
        headers=headers,
        folder=folder,
        measured=measured,
        book=book,
        progress=progress,
    )
    memory, failure = _drive(run, target)
    levels = measured.all_levels()
    whole = book.report(
        complete=failure is None,
        memory=memory,
        levels=levels,
        finding=measured.conclusion or knee(levels),
    )
    measured.finish(whole, form=recipe.records)
    if failure:
        raise failure
    return whole


def _levels_to_come(recipe: BenchRecipe, folder: Path) -> MeasuredLevels:
    """None yet, and what they are judged and priced by. Raises: EnvironmentMissing."""
    return MeasuredLevels(
        folder,
        slo=recipe.slo,
        max_error_rate=recipe.max_error_rate,
        usd_per_hour=recipe.usd_per_hour,
    )


class _ReportBook:
    """Writes what is known of a run, as often as something is."""

    def __init__(
        self,
        recipe: BenchRecipe,
        origins: dict[str, str],
        target: PreparedTarget,
        folder: Path,
    ) -> None:
        self._recipe = recipe
        self._origins = origins
        self._target = target
        self._folder = folder
        self._clock = RunClock()
        self._digests = target.digests()
        self._versions = target.versions()
        self._startup: StartUp | None = None

    def meet(self, server: RunningServer, http: Http) -> None:
        """Takes what only the server knows: names, and how it started."""
        self._versions = server.versions()
        if server.startup is not None:
            first_s = first_token_s(server, http)
            self._startup = msgspec.structs.replace(server.startup, first_token_s=first_s)
        is_unnamed = self._target.target.model is None
        if self._target.is_remote and is_unnamed:
            self._recipe = msgspec.structs.replace(self._recipe, model=server.model)
            self._origins = {**self._origins, "model": "server"}

    def report(
        self,
        *,
        complete: bool,
        memory: Memory,
        levels: list[Level],
        finding: Conclusion,
    ) -> BenchReport:
        manifest = self._clock.manifest(
            self._recipe,
            self._origins,
            versions=self._versions,
            seed=self._recipe.seed,
            digests=self._digests,
            complete=complete,
        )
        return BenchReport(
            manifest=manifest,
            levels=levels,
            memory=memory,
            startup=self._startup,
            finding=finding,
        )

    def keep(self, levels: list[Level]) -> None:
        """A partial report, should this be the last that is heard."""
        partial = self.report(complete=False, memory=Memory(), levels=levels, finding=Conclusion())
        write_atomic(self._folder / "report.json", to_json(partial))


class _Run(NamedTuple):
    """What one run is made of, before its server is there."""

    recipe: BenchRecipe
    loads: list[Load]
    slos: Sequence[Slo]
    rows: Path | None
    headers: dict[str, str]
    folder: Path
    measured: MeasuredLevels
    book: _ReportBook
    progress: Progress


def _drive(run: _Run, target: PreparedTarget) -> tuple[Memory, LlmopsError | None]:
    """The engine's memory, and what broke the run off after something was measured.

    Raises: what kept the server from coming up; nothing is left in the folder then but logs.
    """
    recipe = run.recipe
    http = Http(run.headers, proxy=recipe.proxy, insecure=recipe.insecure)
    workers = recipe.workers or workers_needed(run.loads)
    if recipe.max_in_flight is not None:
        # Each holds at least one, so that more of them would be more than is allowed.
        workers = min(workers, recipe.max_in_flight)
    server: RunningServer | None = None
    failure: LlmopsError | None = None
    try:
        with (
            WorkerPool(workers, run.folder / "load.log") as pool,
            started(
                target,
                folder=run.folder,
                parallel=most_streams(run.loads),
                progress=run.progress,
                http=http,
            ) as server,
        ):
            run.book.meet(server, http)
            _measure(run, pool, server, http)
    except KeyboardInterrupt:
        failure = Interrupted("interrupted", hint=f"what was measured is in {run.folder}")
    except LlmopsError as error:
        ends_the_run = isinstance(error, EngineFailed | GateFailed)
        if server is not None and not ends_the_run:
            raise
        failure = error
    if server is None:
        run.measured.give_up()
        raise failure or EngineFailed("no server came up")
    return server.memory(), failure


def _measure(
    run: _Run,
    pool: WorkerPool,
    server: RunningServer,
    http: Http,
) -> None:
    """The warm-up, and all levels or the search."""
    recipe = run.recipe
    destination = resolve_target(server.url, recipe, run.headers)
    words, notes = words_of(recipe, server, http)
    run.measured.book.notes += notes
    run.measured.remember()
    run.book.keep([])
    telemetry = Telemetry(server.url, guard_pid=server.pid, http=http)
    work = make_workload(recipe, server, run.rows, words)
    runner = LevelRunner(
        recipe,
        pool,
        server,
        work=work,
        destination=destination,
        measured=run.measured,
        telemetry=telemetry,
        progress=run.progress,
    )
    try:
        if recipe.warmup:
            runner.warm_up()
        if recipe.search:
            probes = RateProbes(recipe, run.slos, runner, run.measured)
            probes.run(run.book.keep)
        else:
            runner.run_all(run.loads, run.book.keep)
    finally:
        telemetry.stop()
