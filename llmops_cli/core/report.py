"""The versioned reports: what was asked, on what, and what came out.

A field may be added without raising the schema number; a change of unit or meaning raises it and
adds a pure upgrade function to UPGRADES.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.core.stats import Distribution


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything needed to repeat a run, and to know whether two runs may be compared."""

    recipe: dict[str, object]
    origins: dict[str, str] = {}
    versions: dict[str, str] = {}
    hardware: dict[str, object] = {}
    git: dict[str, object] | None = None
    seed: int | None = None
    digests: dict[str, str] = {}
    started_at: str = ""
    finished_at: str = ""
    duration_s: float = 0.0
    argv: list[str] = []
    complete: bool = True


class Memory(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Peaks over the whole process tree of the engine or job; None where the machine cannot
    tell.
    """

    engine_peak_rss_bytes: int | None = None
    engine_peak_pss_bytes: int | None = None
    engine_peak_gpu_bytes: int | None = None


class Window(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The stretch of a level that its statistics are about, in seconds since the level began."""

    start_s: float
    end_s: float
    found: str
    """steady (warm-up and drain left out) or whole (no steady state can be told, see `reason`)"""
    reason: str = ""


class Client(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
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
    peak_rss_bytes: int | None = None
    clock: str = ""


class Point(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """One step of a level's time series; `engine` and `server` hold what was sampled in that
    step.
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
    """`share` of the requests met the objective, with its 95 % interval; `needed` is the share
    asked for.
    """

    text: str
    share: float
    share_ci95: tuple[float, float]
    needed: float
    met: bool


class Level(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One load level of a bench run. Metrics are defined in docs/METRICS.md."""

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
    slos: list[SloResult] = []
    windows: list[Window] = []
    client: Client = Client()
    saturated: bool = False
    notes: list[str] = []
    series_step_s: float = 1.0
    series: list[Point] = []


class Finding(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the levels say together: the knee of a sweep, or the highest rate that met the
    objectives.
    """

    knee: str | None = None
    best_rate_per_s: float | None = None
    failing_rate_per_s: float | None = None
    sure: bool = True
    text: str = ""


class BenchReport(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    schema: str = "llmops.bench/2"
    manifest: Manifest
    levels: list[Level]
    memory: Memory
    finding: Finding = Finding()


class Difference(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One metric of one load in two runs. `ratio` is current / baseline; error rates have a
    `change` instead.

    `p` is adjusted for all the differences of its comparison. `superiority` is the chance that a
    request is faster in the current run than in the baseline: 0.5 means no effect.
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
    paired: bool = False


class Comparison(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Two bench runs side by side; `warnings` say what else differs between them."""

    baseline: str
    current: str
    differences: list[Difference]
    warnings: list[str] = []


class Served(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an engine that takes the format made of an artifact: greedy words, one stream's speed,
    its memory, and the share of right answers for each task of each evaluator.
    """

    engine: str
    says: str
    output_tokens_per_s: float | None = None
    peak_rss_bytes: int | None = None
    perplexity: float | None = None
    accuracy: dict[str, dict[str, float]] = {}


class QuantizedArtifact(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One quantized model and what it cost. Perplexities are over the same held-out tokens;
    `kl_divergence` is the mean of KL(base || quantized) per token, in nats; `*_rounding` are plain
    rounding's at the same bits and groups. `problems` say what is wrong: a limit that was broken,
    an engine that did not load it.
    """

    path: str
    method: str
    engine: str
    scheme: str
    format: str
    name: str = ""
    size_bytes: int
    size_base_bytes: int
    bits_per_weight: float
    group_size: int | None = None
    perplexity: float | None = None
    perplexity_base: float | None = None
    perplexity_rounding: float | None = None
    kl_rounding: float | None = None
    kl_divergence: float | None = None
    top1_agreement: float | None = None
    eval_tokens: int | None = None
    cpu_s: float = 0.0
    wall_s: float = 0.0
    peak_rss_bytes: int | None = None
    digest: str | None = None
    calibration: dict[str, Any] | None = None  # Any: the worker's own figures
    imatrix: str = "none"
    fallback_tensors: int = 0
    served: Served | None = None
    loads_in: list[str] = []
    problems: list[str] = []
    reused: bool = False


class QuantizeReport(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    schema: str = "llmops.quantize/1"
    manifest: Manifest
    artifacts: list[QuantizedArtifact]
    failures: dict[str, str] = {}
    accuracy_base: dict[str, dict[str, float]] = {}
    recommended: str | None = None


class TensorKind(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Tensors that serve one purpose, and how many of them have which type."""

    kind: str
    tensors: int
    bytes: int
    types: dict[str, int]


class Inspection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a model on disk is. `bits` and `group_size` are of the quantized weights; `loads_in` are
    engines of ours.
    """

    path: str
    format: str
    architecture: str | None
    scheme: str | None
    bits: int | None
    group_size: int | None
    symmetric: bool | None
    size_bytes: int
    kinds: list[TensorKind]
    loads_in: list[str]
    made_from: str | None = None
    made_from_digest: str | None = None


class FamilyResult(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Attempts of one kind. `asr` is the share that succeeded, with its 95 % Wilson interval;
    `asr_corrected` takes the judge's known error rates out (only where a fitted judge decided).
    `guarded_*` are the same attempts with the guard in front, `blocked` how many it stopped; None
    without a guard. Errors are in no share.
    """

    attempts: int
    successes: int
    asr: float | None
    ci95: tuple[float, float] | None
    errors: int = 0
    refused: int = 0
    asr_corrected: float | None = None
    asr_corrected_ci95: tuple[float, float] | None = None
    blocked: int | None = None
    guarded_successes: int | None = None
    guarded_asr: float | None = None
    guarded_ci95: tuple[float, float] | None = None
    owasp: str = ""
    atlas: str = ""
    cwe: str = ""


class TwinResult(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Honest questions in the attacks' setting: how many were refused, and how many the guard
    stopped.
    """

    attempts: int
    refused: int
    refused_share: float | None
    ci95: tuple[float, float] | None
    blocked: int | None = None


class RedteamExample(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A success: what was said, what came back, and what decided."""

    family: str
    attack: str
    prompt: str
    answer: str
    why: str
    transform: str = ""
    stopped_by_guard: bool | None = None


class ChecklistItem(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing that a gateway should have. `ok` is None where it cannot be told from outside."""

    area: str
    name: str
    ok: bool | None
    seen: str
    advice: str = ""


class RedteamReport(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`families` by name; `mappings` the same attempts by OWASP, ATLAS and CWE entry. Tokens are
    the server's own counts where it gives them, else a fourth of the characters.
    """

    schema: str = "llmops.redteam/1"
    manifest: Manifest
    attempts: int
    duration_s: float
    families: dict[str, FamilyResult]
    overall: FamilyResult
    mappings: dict[str, FamilyResult] = {}
    twins: TwinResult | None = None
    examples: list[RedteamExample] = []
    requests: int = 0
    errors: int = 0
    error_kinds: dict[str, int] = {}
    input_tokens: int = 0
    output_tokens: int = 0
    money: float | None = None
    first_request_s: float | None = None
    stopped: str | None = None
    judge_errors: dict[str, dict[str, float]] = {}


class TrainReport(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    schema: str = "llmops.train/1"
    manifest: Manifest
    path: str
    digest: str
    parameters: int
    steps: int
    loss: float
    tokens: int
    tokens_per_s: float
    cpu_s: float
    memory: Memory
    loss_curve: list[tuple[int, float]] = []
    reused: bool = False


class Row(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One artifact in a pipeline's comparison: cost, quality and speed beside one another."""

    name: str
    size_bytes: int
    bits_per_weight: float | None = None
    perplexity: float | None = None
    kl_divergence: float | None = None
    task_accuracy: float | None = None
    skills: dict[str, float] = {}
    levels: list[Level] = []
    engine_peak_rss_bytes: int | None = None
    engine_peak_gpu_bytes: int | None = None


class PipelineReport(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    schema: str = "llmops.run/2"
    manifest: Manifest
    rows: list[Row]
    steps: list[dict[str, object]] = []


Report = BenchReport | QuantizeReport | TrainReport | PipelineReport | RedteamReport

SCHEMAS: dict[str, type[Report]] = {
    "llmops.bench/2": BenchReport,
    "llmops.quantize/1": QuantizeReport,
    "llmops.train/1": TrainReport,
    "llmops.run/2": PipelineReport,
    "llmops.redteam/1": RedteamReport,
}


def _level_1_to_2(level: dict[str, Any]) -> dict[str, Any]:
    """/1 had the client's figures flat, statistics over the whole level, and ITL per chunk, not per
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
    label = f"{level['concurrency']} streams" if level.get("concurrency") else ""
    measured = level["requests"] - level["errors"]
    return {**level, "client": client, "windows": [span], "label": label, "measured": measured}


def _bench_1_to_2(old: dict[str, Any]) -> dict[str, Any]:
    return {
        **old,
        "schema": "llmops.bench/2",
        "levels": [_level_1_to_2(level) for level in old["levels"]],
    }


def _run_1_to_2(old: dict[str, Any]) -> dict[str, Any]:
    rows = [
        {**row, "levels": [_level_1_to_2(level) for level in row.get("levels", [])]}
        for row in old["rows"]
    ]
    return {**old, "schema": "llmops.run/2", "rows": rows}


UPGRADES: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "llmops.bench/1": _bench_1_to_2,
    "llmops.run/1": _run_1_to_2,
}
"""Old schema name -> pure function to the next one."""


def decode_report(raw: bytes) -> Report:
    """Any report ever written, as its current type.

    Raises: UsageError if the bytes are no report of ours.
    """
    try:
        payload = msgspec.json.decode(raw)
    except msgspec.DecodeError as error:
        raise UsageError(f"not a JSON report: {error}") from error
    if not isinstance(payload, dict) or not isinstance(payload.get("schema"), str):
        raise UsageError(
            "not a report: no 'schema' field", hint="pass a report.json written by llmops"
        )
    try:
        while payload["schema"] in UPGRADES:
            payload = UPGRADES[payload["schema"]](payload)
    except (KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"broken report: {error}") from error
    kind = SCHEMAS.get(payload["schema"])
    if kind is None:
        raise UsageError(
            f"report schema '{payload['schema']}' is unknown to this version", hint="upgrade llmops"
        )
    try:
        return msgspec.convert(payload, kind)
    except msgspec.ValidationError as error:
        raise UsageError(f"broken report: {error}") from error
