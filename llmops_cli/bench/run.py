"""`llmops bench`: starts the engine, drives the levels, and writes the report whatever happens."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Callable
from pathlib import Path

import msgspec

from llmops_cli.bench.analysis import analyse, e2e_ms, tpot_ms, ttft_ms
from llmops_cli.bench.load import LevelRun, run_level
from llmops_cli.bench.workload import make_prompts
from llmops_cli.core.artifact import Artifact
from llmops_cli.core.errors import EngineFailed, Interrupted, LlmopsError
from llmops_cli.core.recipe import BenchRecipe
from llmops_cli.core.record import Record
from llmops_cli.core.report import BenchReport, Level, Memory
from llmops_cli.core.spec import Env, ServerSpec
from llmops_cli.engines import Engine, check_options, load_engine
from llmops_cli.runtime.client import Client, connect
from llmops_cli.runtime.env import find_env
from llmops_cli.runtime.manifest import RunClock
from llmops_cli.runtime.server import RunningServer, free_port, running
from llmops_cli.runtime.store import to_json, write_atomic

Progress = Callable[[str, int, int], None]
"""(stage, done, total)"""
DISTRIBUTIONS = ("ttft_ms", "tpot_ms", "itl_ms", "e2e_ms")


def bench(
    recipe: BenchRecipe, origins: dict[str, str], artifact: Artifact, *, folder: Path, on_progress: Progress
) -> BenchReport:
    """Runs every level and writes report.json, report.csv and records.csv into `folder`.

    Raises: EngineFailed or Interrupted after writing what was measured (manifest.complete is then false).
    """
    engine = load_engine(recipe.backend)
    check_options(engine, recipe.options)
    env = find_env(engine.environment) if engine.environment else None
    spec = _server_spec(recipe, artifact, engine, env)
    clock, levels = RunClock(), _Levels(recipe, engine, on_progress)
    failure: LlmopsError | None = None
    server: RunningServer | None = None
    try:
        with running(
            spec,
            log_path=folder / f"{recipe.backend}.log",
            on_wait=lambda waited_s: on_progress(f"starting {recipe.backend}", round(waited_s), 0),
        ) as server:
            asyncio.run(levels.run(server))
    except KeyboardInterrupt:
        failure = Interrupted("interrupted", hint=f"what was measured is in {folder}")
    except EngineFailed as error:
        failure = error
    if server is None and failure:
        raise failure
    report = BenchReport(
        manifest=clock.manifest(
            recipe,
            origins,
            python=env.python if env else None,
            seed=recipe.seed,
            digests={"model": artifact.digest} if artifact.digest else {},
            complete=failure is None,
        ),
        levels=[analyse(run) for run in levels.runs if run.records],
        memory=server.memory() if server else Memory(),
    )
    save(report, [record for run in levels.runs for record in run.records], folder)
    if failure:
        raise failure
    return report


def _server_spec(recipe: BenchRecipe, artifact: Artifact, engine: Engine, env: Env | None) -> ServerSpec:
    options = {**recipe.options, **({"url": recipe.url} if recipe.url else {})}
    parallel = max(recipe.concurrency)
    return engine.server(artifact, options=options, env=env, port=free_port(), parallel=parallel)


class _Levels:
    """The levels of one run; keeps what was measured when a level breaks off."""

    def __init__(self, recipe: BenchRecipe, engine: Engine, on_progress: Progress) -> None:
        self._recipe, self._engine, self._on_progress = recipe, engine, on_progress
        self.runs: list[LevelRun] = []

    async def run(self, server: RunningServer) -> None:
        recipe = self._recipe
        async with connect(server.url, server.spec.model, timeout_s=recipe.timeout_s) as client:
            body = {
                "max_tokens": recipe.output_tokens,
                "temperature": 0,
                "stream_options": {"include_usage": True},
                **self._engine.bench_body,
            }
            await self._warm_up(client, body)
            for number, concurrency in enumerate(recipe.concurrency):
                await self._one(client, server, concurrency, number, body)

    async def _warm_up(self, client: Client, body: dict[str, object]) -> None:
        self._on_progress("warming up", 0, 1)
        fields = {"messages": [{"role": "user", "content": "warm up"}], **body, "max_tokens": 4}
        result = await client.stream("/v1/chat/completions", fields)
        if result.error and result.status not in (None, 429, 500, 502, 503):
            raise EngineFailed(f"the first request failed: {result.error}", hint="is this an OpenAI-style chat server?")

    async def _one(
        self, client: Client, server: RunningServer, concurrency: int, number: int, body: dict[str, object]
    ) -> None:
        recipe = self._recipe
        count = recipe.requests or max(16, 4 * concurrency)
        prompts = await self._prompts(client, count, seed=recipe.seed * 1000 + number)
        run = LevelRun(concurrency=concurrency)
        self.runs.append(run)
        stage = f"concurrency {concurrency}"
        self._on_progress(stage, 0, count)

        def alive() -> bool:
            try:
                server.check_alive()
            except EngineFailed:
                return False
            return True

        await run_level(
            client,
            run,
            prompts=prompts,
            body=body,
            on_done=lambda _: self._on_progress(stage, len(run.records), count),
            engine_alive=alive,
        )
        server.check_alive()

    async def _prompts(self, client: Client, count: int, *, seed: int) -> list[str]:
        """Prompts whose length the server itself counted, where it can."""
        recipe, loop = self._recipe, asyncio.get_running_loop()
        if await _count(client, "x") is None:
            return make_prompts(
                count,
                tokens=recipe.input_tokens,
                shared_prefix_tokens=recipe.shared_prefix_tokens,
                seed=seed,
                count_tokens=lambda _: None,
            )

        def count_tokens(text: str) -> int | None:
            return asyncio.run_coroutine_threadsafe(_count(client, text), loop).result()

        return await asyncio.to_thread(
            make_prompts,
            count,
            tokens=recipe.input_tokens,
            shared_prefix_tokens=recipe.shared_prefix_tokens,
            seed=seed,
            count_tokens=count_tokens,
        )


async def _count(client: Client, text: str) -> int | None:
    body = {"model": client.model, "messages": [{"role": "user", "content": text}]}
    reply = await client.post("/tokenize", body)
    return int(reply["count"]) if reply and "count" in reply else None


def save(report: BenchReport, records: list[Record], folder: Path) -> None:
    """The three files of a bench run."""
    write_atomic(folder / "records.csv", records_csv(records).encode())
    write_atomic(folder / "report.csv", levels_csv(report.levels).encode())
    write_atomic(folder / "report.json", to_json(report))


def levels_csv(levels: list[Level]) -> str:
    """One line per level; distributions become ttft_ms_p50 and so on."""
    rows = []
    for level in levels:
        plain = msgspec.to_builtins(level)
        row: dict[str, object] = {}
        for name, value in plain.items():
            if isinstance(value, dict) and name != "error_kinds":
                row |= {f"{name}_{key}": part for key, part in value.items()}
            else:
                row[name] = "; ".join(map(str, value)) if isinstance(value, list | dict) else value
        rows.append(row)
    return _csv(rows)


def records_csv(records: list[Record]) -> str:
    """One line per request: offsets in ns, metrics in ms."""
    rows = []
    for record in records:
        row = {k: v for k, v in msgspec.to_builtins(record).items() if k != "chunk_ns"}
        row |= {
            "chunks": len(record.chunk_ns),
            "ttft_ms": ttft_ms(record),
            "tpot_ms": tpot_ms(record),
            "e2e_ms": e2e_ms(record),
        }
        rows.append(row)
    return _csv(rows)


def _csv(rows: list[dict[str, object]]) -> str:
    out = io.StringIO()
    if rows:
        writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return out.getvalue()
