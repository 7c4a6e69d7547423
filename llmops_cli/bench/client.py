"""How the load generator itself fared, and whether a level's numbers can be trusted."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from llmops_cli.bench.arrivals import Load
from llmops_cli.bench.plan import LevelDone
from llmops_cli.bench.report import ClientStats
from llmops_cli.core.sample import Sample

LAG_LIMIT_MS = 10.0
LAG_LIMIT_SHARE = 0.1
CPU_LIMIT = 0.9
LATE_LIMIT = 0.01
FEWEST_LAGS = 50
"""A second of the timer: of fewer samples p95 is an accident."""
LEAST_S = 1.0
"""A worker's share of a core over a shorter time says nothing."""
COARSEST_CLOCK_S = 1e-3
CLOCK_SOURCE = Path("/sys/devices/system/clocksource/clocksource0/current_clocksource")


def client_stats(repetitions: Sequence[Sequence[LevelDone]]) -> ClientStats:
    """Of all workers of all repetitions."""
    done = [part for repetition in repetitions for part in repetition]
    workers = 1
    cpu_share = 0.0
    peak_rss_bytes = None
    max_in_flight = 0
    if repetitions:
        first = repetitions[0]
        sizes = [len(repetition) for repetition in repetitions]
        workers = max(1, *sizes)
        max_in_flight = sum(part.max_in_flight for part in first)
    if done:
        cpu_share = max(_cpu_share(part) for part in done)
        peak_rss_bytes = max(part.peak_rss_bytes for part in done)
    lags = _lags(done)
    return ClientStats(
        workers=workers,
        cpu_s=sum(part.cpu_s for part in done),
        cpu_share=cpu_share,
        lag_ms=lags.distribution(),
        sent=sum(part.sent for part in done),
        late=sum(part.late for part in done),
        reconnects=sum(part.reconnects for part in done),
        max_in_flight=max_in_flight,
        peak_rss_bytes=peak_rss_bytes,
        clock=_clock_words(),
    )


def _cpu_share(part: LevelDone) -> float:
    if not part.duration_s:
        return 0.0
    return part.cpu_s / part.duration_s


def _lags(done: Sequence[LevelDone]) -> Sample:
    lags = Sample()
    for part in done:
        lags.add_buckets(part.lags)
    return lags


def _clock_words() -> str:
    words = time.get_clock_info("monotonic").implementation
    if CLOCK_SOURCE.is_file():
        words += f", {CLOCK_SOURCE.read_text().strip()}"
    return words


def client_limits(
    load: Load,
    client: ClientStats,
    repetitions: Sequence[Sequence[LevelDone]],
    *,
    ttft_p50_ms: float | None,
) -> Iterator[str]:
    """Why the client, and not the server, made the numbers."""
    lag_ms = client.lag_ms.p95
    share_ms = LAG_LIMIT_SHARE * (ttft_p50_ms or 0)
    limit_ms = max(LAG_LIMIT_MS, share_ms)
    is_late = lag_ms is not None and lag_ms > limit_ms
    if is_late and client.lag_ms.count >= FEWEST_LAGS:
        yield (
            f"the client was late: its timers lag {lag_ms:.1f} ms (p95), "
            f"the limit is {limit_ms:.1f} ms"
        )
    durations_s = [part.duration_s for repetition in repetitions for part in repetition]
    longest_s = max(durations_s, default=0.0)
    if client.cpu_share > CPU_LIMIT and longest_s > LEAST_S:
        yield (
            f"the client was the bottleneck: a worker used {client.cpu_share:.0%} of a core "
            "(more --workers?)"
        )
    if load.kind != "closed" and client.sent:
        late_share = client.late / client.sent
        if late_share > LATE_LIMIT:
            yield f"{late_share:.1%} of the arrivals left over 10 ms late"
    if time.get_clock_info("monotonic").resolution > COARSEST_CLOCK_S:
        yield "the monotonic clock is coarser than 1 ms"
