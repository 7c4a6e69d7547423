"""`llmops bench`: starts the engine, drives the levels, and keeps the report true whatever
happens.
"""

from __future__ import annotations

import secrets
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from llmops_cli.bench.arrivals import Load, loads_of, rate_load
from llmops_cli.bench.datasets import normalize
from llmops_cli.bench.failure import ErrorKind
from llmops_cli.bench.files import Book, Repeat, Spools, finish, level_of, levels_of, read_spools
from llmops_cli.bench.lengths import parse_lengths
from llmops_cli.bench.plan import LevelPlan, Tick, Workload
from llmops_cli.bench.pool import WorkerPool
from llmops_cli.bench.recipe import BenchRecipe
from llmops_cli.bench.report import BenchReport, Conclusion, Level
from llmops_cli.bench.search import (
    MOST_REPEATS,
    RateSearch,
    Verdict,
    judge,
    knee,
    out_of_reach,
    requests_needed,
)
from llmops_cli.bench.slo import parse_slos
from llmops_cli.bench.target import headers_of, resolve_target, token_counter
from llmops_cli.bench.tokens import measure_words
from llmops_cli.core.errors import EngineFailed, Interrupted, LlmopsError, UsageError
from llmops_cli.core.progress import Progress
from llmops_cli.core.report import Memory
from llmops_cli.core.stats import percentile
from llmops_cli.runtime.files import to_json, write_atomic
from llmops_cli.runtime.hardware import usable_cores
from llmops_cli.runtime.http import Http
from llmops_cli.runtime.manifest import RunClock
from llmops_cli.runtime.paths import recipes_dir
from llmops_cli.serving.start import RunningServer, started
from llmops_cli.serving.target import EngineTarget, PreparedTarget, prepare_target
from llmops_cli.serving.telemetry import Telemetry

STREAMS_A_WORKER = 512
RATE_A_WORKER = 1000.0
WARM_UP = -1
"""The warm-up's level number; its records are thrown away."""
PROBE_S = 120.0
LEAST_PROBE_S = 5.0
GONE_S = 5.0


def target_of(recipe: BenchRecipe, origins: Mapping[str, str]) -> EngineTarget:
    """What the recipe loads. A server's own first model is taken where nobody named one."""
    named = recipe.model if not recipe.url or origins.get("model", "default") != "default" else None
    return EngineTarget(backend=recipe.backend, model=named, url=recipe.url, options=recipe.options)


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
    asked of `problems_of`. Raises: EngineFailed or Interrupted after
    writing what was measured (manifest.complete is then false).
    """
    headers = headers_of(recipe)
    run = _Run(recipe, loads_of(recipe), folder, progress)
    try:
        if target is None:
            target = prepare_target(target_of(recipe, origins), progress=progress)
    except LlmopsError:
        run.give_up()
        raise
    http = Http(headers, proxy=recipe.proxy, insecure=recipe.insecure)
    book = _ReportBook(recipe, origins, target, folder)
    memory, failure = _drive(run, target, headers, http, book)
    levels = run.all_levels()
    finding = run.finding or knee(levels)
    whole = book.report(complete=failure is None, memory=memory, levels=levels, finding=finding)
    run.finish(whole)
    if failure:
        raise failure
    return whole


class _ReportBook:
    """Writes what is known of a run, as often as something is."""

    def __init__(
        self, recipe: BenchRecipe, origins: dict[str, str], target: PreparedTarget, folder: Path
    ) -> None:
        self._recipe = recipe
        self._origins = origins
        self._target = target
        self._folder = folder
        self._clock = RunClock()
        self._digests = target.digests()
        self._versions = target.versions()

    def meet(self, server: RunningServer) -> None:
        """Takes the names that only the server knows."""
        self._versions = server.versions()
        if self._target.is_remote and self._target.target.model is None:
            self._recipe = msgspec.structs.replace(self._recipe, model=server.model)
            self._origins = {**self._origins, "model": "server"}

    def report(
        self, *, complete: bool, memory: Memory, levels: list[Level], finding: Conclusion
    ) -> BenchReport:
        manifest = self._clock.manifest(
            self._recipe,
            self._origins,
            versions=self._versions,
            seed=self._recipe.seed,
            digests=self._digests,
            complete=complete,
        )
        return BenchReport(manifest=manifest, levels=levels, memory=memory, finding=finding)

    def keep(self, levels: list[Level]) -> None:
        """A partial report, should this be the last that is heard."""
        partial = self.report(complete=False, memory=Memory(), levels=levels, finding=Conclusion())
        write_atomic(self._folder / "report.json", to_json(partial))


def _drive(
    run: _Run,
    target: PreparedTarget,
    headers: dict[str, str],
    http: Http,
    book: _ReportBook,
) -> tuple[Memory, LlmopsError | None]:
    """The engine's memory, and what broke the run off after something was measured.

    Raises: what kept the server from coming up; nothing is left in the folder then but logs.
    """
    server: RunningServer | None = None
    failure: LlmopsError | None = None
    try:
        with (
            WorkerPool(run.workers, run.folder / "load.log") as pool,
            started(
                target,
                folder=run.folder,
                parallel=run.most_streams(),
                progress=run.progress,
                http=http,
            ) as server,
        ):
            book.meet(server)
            run.go(pool, server, headers, http, book.keep)
    except KeyboardInterrupt:
        failure = Interrupted("interrupted", hint=f"what was measured is in {run.folder}")
    except LlmopsError as error:
        if server is not None and not isinstance(error, EngineFailed):
            raise
        failure = error
    if server is None and failure:
        run.give_up()
        raise failure
    return server.memory() if server else Memory(), failure


def folder_made(folder: Path) -> Path:
    """The folder, there. Raises: EnvironmentMissing."""
    from llmops_cli.runtime.files import cannot_write

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(folder, error) from error
    return folder


class _Run:
    """One run's levels, and what is known of them so far."""

    def __init__(
        self,
        recipe: BenchRecipe,
        loads: list[Load],
        folder: Path,
        progress: Progress,
    ) -> None:
        self._recipe = recipe
        self.folder = folder
        self.progress = progress
        self._loads = loads
        self._slos = parse_slos(recipe.slo) if recipe.slo else ()
        if recipe.search and not self._slos:
            raise UsageError("--search needs objectives", hint="--slo ttft_p95=200ms,tpot_p95=50ms")
        parse_lengths(recipe.input_tokens)
        parse_lengths(recipe.output_tokens)
        if str(recipe.input_tokens).isdigit() and recipe.shared_prefix_tokens >= int(
            recipe.input_tokens
        ):
            raise UsageError(
                f"a shared prefix of {recipe.shared_prefix_tokens} tokens does not fit into {recipe.input_tokens}",
                hint="--input-tokens counts the prefix too",
            )
        if recipe.dataset != "synthetic" and recipe.input_tokens != BenchRecipe().input_tokens:
            raise UsageError(
                "the prompts of a dataset have their own lengths", hint="leave out --input-tokens"
            )
        if recipe.records == "parquet":
            _need_pyarrow()
        self.book = Book(slo=recipe.slo)
        self.finding: Conclusion | None = None
        self.workers = recipe.workers or self._workers_needed()
        self._spools = Spools(folder_made(folder))
        self._rows = self._read_rows()
        self._levels: dict[int, Level] = {}

    def most_streams(self) -> int:
        """What an engine that we start should be able to run at once."""
        return max([load.concurrency or 0 for load in self._loads] + [16])

    def _workers_needed(self) -> int:
        streams = max((load.concurrency or 0 for load in self._loads), default=0)
        rate = max(
            (
                max([load.rate_per_s or 0, load.ramp_to_per_s or 0, *(r for r, _ in load.steps)])
                for load in self._loads
            ),
            default=0.0,
        )
        needed = max(1, -(-streams // STREAMS_A_WORKER), int(rate / RATE_A_WORKER))
        return min(needed, max(1, usable_cores() // 2))

    def _read_rows(self) -> Path | None:
        """Prompt files and traces are normalized before anything is started."""
        recipe = self._recipe
        if recipe.trace:
            source = Path(recipe.trace)
            kind = "trace"
        elif recipe.dataset == "synthetic":
            return None
        else:
            source = (
                recipes_dir() / "data" / "prompts.jsonl"
                if recipe.dataset == "builtin"
                else Path(recipe.dataset)
            )
            kind = "file"
        spool = self._spools.folder / "workload"
        try:
            normalize(source, spool, kind=kind)
        except LlmopsError:
            self._spools.remove()
            raise
        return spool

    # -- while the server runs

    def go(
        self,
        pool: WorkerPool,
        server: RunningServer,
        headers: dict[str, str],
        http: Http,
        keep: Callable[[list[Level]], None],
    ) -> None:
        recipe = self._recipe
        self._crew = pool
        self._server = server
        self._target = resolve_target(server.url, recipe, headers)
        self._work = self._make_work(server, http)
        self._spools.remember(self.book)
        keep([])
        if recipe.warmup:
            self._warm_up()
        self._telemetry = Telemetry(server.url, guard_pid=server.pid, http=http)
        try:
            if recipe.search:
                self._search(keep)
                return
            self.book.loads = self._loads
            self.book.repeats = [[] for _ in self._loads]
            for repetition in range(
                recipe.repeats
            ):  # level after level, so that drift hits all alike
                for number in range(len(self._loads)):
                    self._repeat(number, repetition)
                    keep(self._known())
        finally:
            self._telemetry.stop()

    def _make_work(self, server: RunningServer, http: Http) -> Workload:
        recipe = self._recipe
        kind = "trace" if recipe.trace else "synthetic" if recipe.dataset == "synthetic" else "file"
        if kind == "file":
            words = measure_words(lambda _: None, free=False)
        else:
            ask, free = token_counter(server.url, recipe, server.model, http)
            words = measure_words(ask, free=free)
            if not words.exact:
                self.book.notes.append(
                    "the server's tokenizer could not be asked: a word is taken for a token"
                )
        fields: dict[str, object] = {
            "model": server.model,
            "stream": True,
            "stream_options": {"include_usage": True},
            "temperature": 0,
            **server.facts.bench_body,
            **recipe.body,
        }
        return Workload(
            kind=kind,
            api=recipe.api,
            fields=fields,
            input_tokens=recipe.input_tokens,
            output_tokens=recipe.output_tokens,
            words=words,
            shared_prefix_tokens=recipe.shared_prefix_tokens,
            shared_prefix_share=recipe.shared_prefix_share,
            turns=recipe.turns,
            think_time_s=recipe.think_time_s,
            spool=str(self._rows) if self._rows else None,
            nonce="" if recipe.warm_cache else secrets.token_hex(4),
            seed=recipe.seed,
        )

    def _warm_up(self) -> None:
        """A few requests, few at a time: the first ones pay for what happens once."""
        recipe = self._recipe
        streams = min(4, recipe.warmup)
        load = Load(kind="closed", label="warming up", concurrency=streams, count=recipe.warmup)
        work = self._work
        if work.kind == "trace":
            work = msgspec.structs.replace(work, kind="synthetic", spool=None)
        plans = self._plans(load, WARM_UP, 0, work)
        self.progress.update("warming up", 0, recipe.warmup)
        self._crew.run(
            plans,
            on_tick=lambda _: None,
            on_start=lambda _: None,
            keep_on=lambda: self._alive() is None,
        )
        self._server.check_alive()
        records = (
            list(read_spools(self._spools.folder, WARM_UP, 0))
            if records_exist(self._spools.folder)
            else []
        )
        for path in self._spools.folder.glob(f"{WARM_UP}-*.jsonl"):
            path.unlink()
        refused = [r for r in records if r.error and r.status in (400, 401, 403, 404, 405, 422)]
        if refused and len(refused) == len(records):
            raise EngineFailed(
                f"the first request failed: {refused[0].error}",
                hint="check --model, --api, --body and the key",
            )
        self.progress.update("warming up", recipe.warmup, recipe.warmup)

    def _plans(self, load: Load, number: int, repetition: int, work: Workload) -> list[LevelPlan]:
        streams = load.concurrency or 0
        limit = self._recipe.max_in_flight

        def share(whole: int, worker: int) -> int:
            return whole // self.workers + (worker < whole % self.workers)

        spare = min(256, int(load.rate_per_s or load.count or 32))
        return [
            LevelPlan(
                level=number,
                repetition=repetition,
                worker=worker,
                workers=self.workers,
                load=load,
                work=work,
                target=self._target,
                spool=str(self._spools.path(number, repetition, worker)),
                streams=share(streams, worker) if load.kind == "closed" else spare,
                max_in_flight=None if limit is None else max(1, share(limit, worker)),
            )
            for worker in range(self.workers)
        ]

    def _repeat(self, number: int, repetition: int) -> None:
        """One repetition of one level, from plan to records on disk."""
        load = self._loads[number]
        watch = _Watch(load, repetition, self._recipe.repeats, self.progress)
        started: list[int] = []
        aborted: list[str] = []
        repeat = Repeat()
        self.book.repeats[number].append(repeat)
        self._levels.pop(number, None)
        self._spools.remember(self.book)

        def keep_on() -> bool:
            reason = self._alive() or watch.hopeless()
            if reason and not aborted:
                aborted.append(reason)
            return not reason

        try:
            repeat.done = self._crew.run(
                self._plans(load, number, repetition, self._work),
                on_tick=watch.tick,
                on_start=started.append,
                keep_on=keep_on,
            )
        finally:
            if started:
                repeat.samples = self._telemetry.between(started[0], time.monotonic_ns())
            repeat.aborted = aborted[0] if aborted else None
            self._spools.remember(self.book)
        watch.end()
        time.sleep(
            0.0 if not aborted else 0.5
        )  # a crash is seen by its connections before its exit
        self._server.check_alive()
        if aborted:
            raise EngineFailed(aborted[0], hint=f"what was measured is in {self.folder}")

    def _alive(self) -> str | None:
        try:
            self._server.check_alive()
        except EngineFailed:
            return "the engine died during this level"
        return None

    def _search(self, keep: Callable[[list[Level]], None]) -> None:
        recipe = self._recipe
        search = RateSearch(recipe.rate[0] if recipe.rate else 1.0)
        self._loads = self.book.loads
        needed = recipe.requests or requests_needed(self._slos)
        asked_alone = False
        while (rate := search.next_rate()) is not None:
            count = max(needed, int(rate * LEAST_PROBE_S))
            limit_s = recipe.duration_s or PROBE_S
            level, verdict = self._probe(rate_load(recipe, rate, count=count, duration_s=limit_s))
            search.tell(rate, level, verdict)
            self.finding = search.finding()
            keep(self._known())
            if verdict == "invalid" and search.passed is None:
                return
            if verdict == "fail" and search.passed is None and not asked_alone:
                asked_alone = True  # before ever lower rates are tried in vain
                load = Load(
                    kind="closed", label="1 stream", concurrency=1, count=needed, duration_s=limit_s
                )
                alone, verdict = self._probe(load)
                keep(self._known())
                if verdict == "fail" or not all(slo.met for slo in alone.slos):
                    self.finding = out_of_reach(alone)
                    return

    def _probe(self, load: Load) -> tuple[Level, Verdict]:
        """Measured again while its verdict is unsure, up to a limit."""
        self.book.loads.append(load)
        self.book.repeats.append([])
        number = len(self._loads) - 1
        for repetition in range(MOST_REPEATS):
            self._repeat(number, repetition)
            level = self._level(number)
            verdict = judge(level)
            if verdict != "unsure":
                break
        return level, verdict

    # -- what is known

    def _level(self, number: int) -> Level:
        if number not in self._levels:
            self._levels[number] = level_of(self._spools.folder, self.book, number)
        return self._levels[number]

    def _known(self) -> list[Level]:
        return [self._level(i) for i, repeats in enumerate(self.book.repeats) if repeats]

    def all_levels(self) -> list[Level]:
        """Every level with at least one record, also one that broke off."""
        if len(self._levels) == len(self.book.loads):
            return self._known()
        return levels_of(self._spools.folder, self.book)

    def give_up(self) -> None:
        """Nothing was measured, so nothing is kept but logs."""
        self._spools.remove()

    def finish(self, report: BenchReport) -> None:
        finish(report, self._spools, self.book, self.folder, form=self._recipe.records)


def records_exist(folder: Path) -> bool:
    return any(folder.glob(f"{WARM_UP}-*.jsonl"))


def _need_pyarrow() -> None:
    from importlib.util import find_spec

    from llmops_cli.core.errors import EnvironmentMissing

    if find_spec("pyarrow") is None:
        raise EnvironmentMissing(
            "Parquet needs pyarrow", hint="pip install 'llmops-cli[parquet]', or --records csv"
        )


class _Watch:
    """A level as it goes by: throughput over the last seconds, TTFT p95 so far, and whether there
    is any hope.
    """

    def __init__(self, load: Load, repetition: int, repeats: int, progress: Progress) -> None:
        self._progress = progress
        self._stage = load.label + (f", run {repetition + 1}" if repeats > 1 else "")
        self._count = load.count
        self._duration_s = load.duration_s
        self._patience = 50 + 4 * (load.concurrency or 16)
        self._start = time.monotonic()
        self._done = self._errors = self._failing = 0
        self._good_at = self._start
        self._recent: deque[tuple[float, int]] = deque()
        self._ttfts: deque[float] = deque(maxlen=2000)
        self._last_error: str | None = None
        self._last_kind: ErrorKind | None = None
        progress.update(self._stage, 0, self._total())

    def _total(self) -> float:
        return float(self._count or self._duration_s or 0)

    def tick(self, tick: Tick) -> None:
        at = time.monotonic()
        self._done += tick.done
        self._errors += tick.errors
        if tick.done > tick.errors:
            self._failing = 0
            self._good_at = at
        else:
            self._failing += tick.errors
        self._last_error = tick.last_error or self._last_error
        self._last_kind = tick.last_kind or self._last_kind
        self._ttfts.extend(tick.ttfts_ms)
        self._recent.append((at, tick.tokens))
        while self._recent and at - self._recent[0][0] > 3:
            self._recent.popleft()
        span = max(0.25, min(3.0, at - self._start))
        note = f"{sum(tokens for _, tokens in self._recent) / span:,.0f} tok/s"
        if self._ttfts:
            note += f", TTFT p95 {percentile(sorted(self._ttfts), 95):,.0f} ms"
        if self._errors:
            note += f", {self._errors} errors ({self._last_error})"
        done = (
            self._done if self._count else min(self._duration_s or 0.0, round(at - self._start, 1))
        )
        done = min(done, self._total() or done)
        if done and (total := self._total()) > done:
            note += f", ETA {(at - self._start) / done * (total - done):,.0f} s"
        self._progress.update(self._stage, done, self._total(), note)

    def end(self) -> None:
        total = self._total() or self._done
        self._progress.update(self._stage, total, total)

    def hopeless(self) -> str | None:
        if self._last_kind is not ErrorKind.REFUSED:
            return None
        silent_s = time.monotonic() - self._good_at
        if self._failing >= self._patience or (self._failing >= 10 and silent_s > GONE_S):
            return (
                f"the server is gone: {self._failing} requests in a row failed ({self._last_error})"
            )
        return None
