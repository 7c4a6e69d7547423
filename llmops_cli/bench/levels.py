"""Levels one after another, against a server that runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import msgspec

from llmops_cli.bench.arrivals import Load
from llmops_cli.bench.measured import MeasuredLevels
from llmops_cli.bench.plan import Destination, LevelPlan, Tick, Workload
from llmops_cli.bench.pool import WorkerPool
from llmops_cli.bench.recipe import BenchRecipe
from llmops_cli.bench.record import Record
from llmops_cli.bench.report import Level
from llmops_cli.bench.spools import read_spools
from llmops_cli.bench.watch import LevelWatch
from llmops_cli.core.errors import EngineFailed, GateFailed, LlmopsError
from llmops_cli.core.progress import Progress
from llmops_cli.serving.start import RunningServer
from llmops_cli.serving.telemetry import Telemetry

WARM_UP = -1
"""The warm-up's level number; its records are thrown away."""
WARM_UP_STREAMS = 4
SPARE_CONNECTIONS = 256
REFUSED = (301, 302, 303, 307, 308, 400, 401, 403, 404, 405, 410, 422)
CHECK = "check --url, --path, --model, --body, the key, and --api"
CHECK_FOR = {
    "chat": f"{CHECK} (completions for a model without a chat template)",
    "completions": f"{CHECK} (chat for a server without /v1/completions)",
    "embeddings": f"{CHECK} (embeddings take a server of vectors; chat is one of text)",
}
"""API -> what to look at when a server refuses the first request."""
"""HTTP statuses that more requests of the same kind would get too."""
CRASH_S = 0.5
"""A crash is seen by its connections before its exit."""

Keep = Callable[[list[Level]], None]


class LevelRunner:
    """Gives the workers their plans, watches, and writes down what came of it."""

    def __init__(
        self,
        recipe: BenchRecipe,
        pool: WorkerPool,
        server: RunningServer,
        *,
        work: Workload,
        destination: Destination,
        measured: MeasuredLevels,
        telemetry: Telemetry,
        progress: Progress,
    ) -> None:
        self._recipe = recipe
        self._pool = pool
        self._server = server
        self._work = work
        self._destination = destination
        self._measured = measured
        self._telemetry = telemetry
        self._progress = progress

    def run_all(self, loads: Sequence[Load], keep: Keep) -> None:
        """Each as often as asked for, level after level, so that drift hits all alike."""
        self._measured.expect(list(loads))
        for repetition in range(self._recipe.repeats):
            for number in range(len(loads)):
                self.repeat(number, repetition)
                keep(self._measured.known())

    def warm_up(self) -> None:
        """A few requests, few at a time: the first ones pay for what happens once.

        Raises: EngineFailed if the server refuses them all.
        """
        wanted = self._recipe.warmup
        load = Load(
            kind="closed",
            label="warming up",
            concurrency=min(WARM_UP_STREAMS, wanted),
            count=wanted,
        )
        work = self._work
        if work.kind == "trace":
            work = msgspec.structs.replace(work, kind="synthetic", spool=None)
        self._progress.update("warming up", 0, wanted)
        self._pool.run(
            self._plans(load, WARM_UP, 0, work),
            on_tick=_ignore_tick,
            on_start=_ignore_start,
            keep_on=lambda: self._death() is None,
        )
        self._server.check_alive()
        _check_accepted(self._warm_up_records(), self._recipe.api)
        self._progress.update("warming up", wanted, wanted)

    def _warm_up_records(self) -> list[Record]:
        """Read once: their spools go."""
        folder = self._measured.spools.folder
        records = list(read_spools(folder, WARM_UP, 0))
        for path in folder.glob(f"{WARM_UP}-*.jsonl"):
            path.unlink()
        return records

    def repeat(self, number: int, repetition: int) -> None:
        """One repetition of one level, from plan to records on disk.

        Raises: EngineFailed if the server is gone, GateFailed at --abort-after.
        """
        load = self._measured.book.loads[number]
        repeats = self._recipe.repeats
        watch = LevelWatch(
            load,
            repetition,
            repeats,
            self._progress,
            abort_after=self._recipe.abort_after,
        )
        started_ns: list[int] = []
        aborted: list[LlmopsError] = []
        hint = f"what was measured is in {self._measured.spools.folder.parent}"
        repeat = self._measured.begin_repeat(number)

        def keep_on() -> bool:
            broken = watch.beyond_limit()
            reason = self._death() or watch.hopeless()
            if reason:
                aborted.append(EngineFailed(reason, hint=hint))
            elif broken:
                aborted.append(GateFailed(broken, hint=hint))
            return not aborted

        plans = self._plans(load, number, repetition, self._work)
        try:
            repeat.done = self._pool.run(
                plans,
                on_tick=watch.tick,
                on_start=started_ns.append,
                keep_on=keep_on,
            )
        finally:
            if started_ns:
                ended_ns = time.monotonic_ns()
                began_ns = started_ns[0]
                repeat.samples = self._telemetry.between(began_ns, ended_ns)
            if aborted:
                repeat.aborted = aborted[0].message
            self._measured.remember()
        watch.end()
        if aborted:
            time.sleep(CRASH_S)
        self._server.check_alive()
        if aborted:
            raise aborted[0]

    def _death(self) -> str | None:
        try:
            self._server.check_alive()
        except EngineFailed:
            return "the engine died during this level"
        return None

    def _plans(
        self,
        load: Load,
        number: int,
        repetition: int,
        work: Workload,
    ) -> list[LevelPlan]:
        """One for each worker."""
        workers = self._pool.size
        limit = self._recipe.max_in_flight
        plans = []
        for worker in range(workers):
            own_limit = None
            if limit is not None:
                own_limit = _share(limit, worker, workers)
            spools = self._measured.spools
            spool = spools.path(number, repetition, worker)
            plan = LevelPlan(
                level=number,
                repetition=repetition,
                worker=worker,
                workers=workers,
                load=load,
                work=work,
                target=self._destination,
                spool=str(spool),
                streams=_streams(load, worker, workers),
                max_in_flight=own_limit,
            )
            plans.append(plan)
        return plans


def _streams(
    load: Load,
    worker: int,
    workers: int,
) -> int:
    """Of a closed load; for another, the connections to open beforehand."""
    if load.kind == "closed":
        return _share(load.concurrency or 0, worker, workers)
    wanted = load.rate_per_s or load.count or 32
    return min(SPARE_CONNECTIONS, int(wanted))


def _share(
    whole: int,
    worker: int,
    workers: int,
) -> int:
    """What one of the workers takes of a whole number."""
    rest = whole % workers
    return whole // workers + (worker < rest)


def _ignore_tick(_: Tick) -> None:
    """Nobody watches the warm-up."""


def _ignore_start(_: int) -> None:
    """Nothing is sampled in the warm-up."""


def _check_accepted(records: Sequence[Record], api: str) -> None:
    refused = [record for record in records if _is_refused(record)]
    if refused and len(refused) == len(records):
        raise EngineFailed(
            f"the first request failed: {refused[0].error}",
            hint=CHECK_FOR[api],
        )


def _is_refused(record: Record) -> bool:
    return bool(record.error) and record.status in REFUSED
