"""The load generator: a closed loop of `concurrency` streams over real HTTP."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping

import msgspec

from llmops_cli.core.record import Record
from llmops_cli.runtime.client import Client, StreamResult, text_digest

LAG_EVERY_S = 0.02
DEATH_NOTICE_S = 0.5
"""A crashed engine resets its connections a moment before its exit can be seen."""


class LevelRun(msgspec.Struct, kw_only=True):
    """What one level left behind. `lags_ms` says how late this program's own timers fired."""

    concurrency: int
    records: list[Record] = []
    lags_ms: list[float] = []
    cpu_s: float = 0.0
    duration_s: float = 0.0
    aborted: bool = False


async def run_level(
    client: Client,
    run: LevelRun,
    *,
    prompts: list[str],
    body: Mapping[str, object],
    on_done: Callable[[Record], None],
    engine_alive: Callable[[], bool],
) -> None:
    """Sends every prompt once, `run.concurrency` at a time, filling `run` as requests end.

    Stops early if the engine has died; what was measured stays in `run`, also after a cancellation.
    """
    await client.connect(run.concurrency)
    origin_ns, cpu_start = time.monotonic_ns(), time.process_time()
    queue = iter(enumerate(prompts))
    lag = asyncio.create_task(_watch_lag(run.lags_ms))

    async def stream_of_requests() -> None:
        for index, prompt in queue:
            if run.aborted:
                return
            intended_ns = time.monotonic_ns()
            fields = {"messages": [{"role": "user", "content": prompt}], **body}
            result = await client.stream("/v1/chat/completions", fields)
            record = _to_record(result, index, run.concurrency, intended_ns, origin_ns)
            run.records.append(record)
            on_done(record)
            if record.error and record.status in (None, 200):
                await asyncio.sleep(DEATH_NOTICE_S)
                run.aborted |= not engine_alive()

    try:
        await asyncio.gather(*(stream_of_requests() for _ in range(run.concurrency)))
    finally:
        lag.cancel()
        run.cpu_s = time.process_time() - cpu_start
        run.duration_s = (time.monotonic_ns() - origin_ns) / 1e9


def _to_record(result: StreamResult, index: int, concurrency: int, intended_ns: int, origin_ns: int) -> Record:
    offsets = tuple(at_ns - origin_ns for at_ns in result.chunk_ns)
    usage = result.usage
    return Record(
        index=index,
        concurrency=concurrency,
        intended_ns=intended_ns - origin_ns,
        sent_ns=result.sent_ns - origin_ns,
        first_ns=offsets[0] if offsets else None,
        end_ns=offsets[-1] if offsets else None,
        chunk_ns=offsets,
        input_tokens=usage.get("prompt_tokens", 0),
        output_tokens=usage.get("completion_tokens", len(offsets)),
        cached_tokens=(usage.get("prompt_tokens_details") or {}).get("cached_tokens", 0) or 0,
        text_sha256=text_digest(result.text) if result.text else None,
        status=result.status,
        error=result.error or (None if offsets else "no text in the answer"),
    )


async def _watch_lag(lags_ms: list[float]) -> None:
    while True:
        due = time.monotonic() + LAG_EVERY_S
        await asyncio.sleep(LAG_EVERY_S)
        lags_ms.append((time.monotonic() - due) * 1e3)
