"""What a load test reports: levels, their metrics, and comparisons of two runs.

Metrics are defined in docs/METRICS.md.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from llmops_cli.core.problem import Problem
from llmops_cli.core.report import Manifest, Memory, ReportKind, StartUp
from llmops_cli.core.stats import Distribution


class Window(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The stretch of a level that its statistics are about, in seconds since the level began."""

    start_s: float
    end_s: float
    found: str
    """steady (warm-up and drain left out) or whole (no steady state can be told, see `reason`)"""
    reason: str = ""


class ClientStats(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the load generator itself fared: whether its numbers can be trusted."""

    workers: int = 1
    cpu_s: float = 0.0
    cpu_share: float = 0.0
    """of the busiest worker: CPU seconds per second"""
    lag_ms: Distribution = Distribution()
    sent: int = 0
    late: int = 0
    reconnects: int = 0
    max_in_flight: int = 0
    was_limit: bool = False
    """and nothing else was wrong"""
    peak_rss_bytes: int | None = None
    clock: str = ""


class Point(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """One step of a level's time series.

    `engine` and `server` hold what was sampled in that step.
    """

    t_s: float
    requests_per_s: float = 0.0
    output_tokens_per_s: float = 0.0
    in_flight: float = 0.0
    errors: int = 0
    ttft_ms_p50: float | None = None
    ttft_ms_p95: float | None = None
    engine: dict[str, float] = {}
    server: dict[str, float] = {}


class SloResult(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`share` of the requests met the objective, with its 95 % interval.

    `needed` is the share asked for.
    """

    text: str
    share: float
    share_ci95: tuple[float, float]
    needed: float
    met: bool


class Level(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One load level of a bench run. Metrics are defined in docs/METRICS.md.

    `texts_per_s`: of embeddings, which have no TTFT, TPOT or output tokens; else None.
    `usd_per_million_tokens` (of output) and `usd_per_1k_requests`: with --gpu-hour, at this load.
    """

    concurrency: int | None
    rate_per_s: float | None
    requests: int
    errors: int
    duration_s: float
    ttft_ms: Distribution
    tpot_ms: Distribution
    itl_ms: Distribution
    e2e_ms: Distribution
    requests_per_s: float
    output_tokens_per_s: float
    total_tokens_per_s: float
    input_tokens: int = 0
    output_tokens: int = 0
    hidden_tokens: int = 0
    hidden_tokens_per_s: float = 0.0
    texts_per_s: float | None = None
    cached_tokens: int = 0
    valid: bool = True
    invalid_reasons: list[str] = []
    error_kinds: dict[str, int] = {}
    label: str = ""
    kind: str = "closed"
    repetitions: int = 1
    measured: int = 0
    normalized_ms: Distribution = Distribution()
    queue_delay_ms: Distribution = Distribution()
    connect_ms: Distribution = Distribution()
    rates_ci95: dict[str, tuple[float, float]] = {}
    rates_each: dict[str, list[float]] = {}
    goodput_per_s: float | None = None
    usd_per_million_tokens: float | None = None
    usd_per_1k_requests: float | None = None
    slos: list[SloResult] = []
    windows: list[Window] = []
    client: ClientStats = ClientStats()
    saturated: bool = False
    notes: list[str] = []
    series_step_s: float = 1.0
    series: list[Point] = []


class Conclusion(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the levels say together.

    The knee of a sweep, or the highest rate that met the objectives. `client_limit_per_s`: where a
    search ended because the load generator could not do more, so the server may.
    """

    knee: str | None = None
    best_rate_per_s: float | None = None
    failing_rate_per_s: float | None = None
    client_limit_per_s: float | None = None
    sure: bool = True
    text: str = ""


class BenchReport(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    schema: str = "llmops.bench/2"
    manifest: Manifest
    levels: list[Level]
    memory: Memory
    startup: StartUp | None = None
    finding: Conclusion = Conclusion()


class Difference(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One metric of one load in two runs.

    `ratio` is current / baseline; error rates have a `change` instead.
    Without `ratio_ci95` nobody knows how sure the ratio is, as of a run without its requests.
    `p` is adjusted for all the differences of its comparison. `superiority` is the chance that a
    request is faster in the current run than in the baseline: 0.5 means no effect. With too few
    `repetitions` interval and `p` are those within the runs, and there is no verdict.
    """

    load: str
    metric: str
    baseline: float
    current: float
    ratio: float | None = None
    ratio_ci95: tuple[float, float] | None = None
    change: float | None = None
    change_ci95: tuple[float, float] | None = None
    p: float = 1.0
    verdict: str = "can't tell"
    superiority: float | None = None
    requests: tuple[int, int] = (0, 0)
    repetitions: tuple[int, int] = (1, 1)
    paired: bool = False


class Comparison(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Two bench runs side by side; `warnings` say what else differs between them."""

    baseline: str
    current: str
    differences: list[Difference]
    warnings: list[str] = []


def streams_label(streams: int) -> str:
    """What a closed level is called."""
    return "1 stream" if streams == 1 else f"{streams} streams"


def level_1_to_2(level: dict[str, Any]) -> dict[str, Any]:
    """A level of /1 as one of /2.

    It had the client's figures flat, statistics over the whole level, and ITL per chunk, not per
    token.
    """
    level = dict(level)
    client = {
        "cpu_share": level.pop("client_cpu_share", 0.0),
        "lag_ms": level.pop("client_lag_ms", {}),
    }
    span = {
        "start_s": 0.0,
        "end_s": level["duration_s"],
        "found": "whole",
        "reason": "written before windows",
    }
    measured = level["requests"] - level["errors"]
    load = _load_of(level)
    return {**level, **load, "client": client, "windows": [span], "measured": measured}


def _load_of(level: dict[str, Any]) -> dict[str, str]:
    """Label and kind of a level of /1, which had streams or a rate."""
    if level.get("concurrency"):
        return {"kind": "closed", "label": streams_label(level["concurrency"])}
    rate = level.get("rate_per_s")
    if rate:
        return {"kind": "rate", "label": f"{rate:.4g}/s"}
    return {"label": ""}


def _bench_1_to_2(old: dict[str, Any]) -> dict[str, Any]:
    return {
        **old,
        "schema": "llmops.bench/2",
        "levels": [level_1_to_2(level) for level in old["levels"]],
    }


class Flaw(StrEnum):
    """What can be wrong with a finished load test."""

    INVALID = "invalid"


def problems_of(report: BenchReport) -> list[Problem]:
    """Why its numbers must not be trusted; empty if they may."""
    return [
        Problem(Flaw.INVALID, f"{level.label}: {reason}")
        for level in report.levels
        for reason in level.invalid_reasons
        if not _ended_the_search(level, report.finding)
    ]


def judged_levels(report: BenchReport) -> tuple[Level, ...]:
    """Without the level at which a search's client gave out: it tells nothing of the server."""
    return tuple(level for level in report.levels if not _ended_the_search(level, report.finding))


def _ended_the_search(level: Level, finding: Conclusion) -> bool:
    """Whether the level is where the client gave out, above a rate that is proven.

    The search then says "at least": its answer leaves that level out, so it is no flaw.
    """
    limit_per_s = finding.client_limit_per_s
    if finding.best_rate_per_s is None or limit_per_s is None:
        return False
    return level.rate_per_s == limit_per_s


def _impossible(report: BenchReport) -> str | None:
    """Read late: only a saved report is checked."""
    from llmops_cli.bench.plausible import impossible

    return impossible(report)


KIND = ReportKind(
    schema="llmops.bench/2",
    report=BenchReport,
    upgrades={"llmops.bench/1": _bench_1_to_2},
    impossible=_impossible,
)
