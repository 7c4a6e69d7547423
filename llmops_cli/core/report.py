"""The versioned reports: what was asked, on what, and what came out.

A field may be added without raising the schema number; a change of unit or meaning raises it and adds a
pure upgrade function to UPGRADES.
"""

from __future__ import annotations

from collections.abc import Callable

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
    """Peaks over the whole process tree of the engine or job; None where the machine cannot tell."""

    engine_peak_rss_bytes: int | None = None
    engine_peak_pss_bytes: int | None = None
    engine_peak_gpu_bytes: int | None = None


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
    client_cpu_share: float = 0.0
    client_lag_ms: Distribution = Distribution()
    valid: bool = True
    invalid_reasons: list[str] = []
    error_kinds: dict[str, int] = {}


class BenchReport(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    schema: str = "llmops.bench/1"
    manifest: Manifest
    levels: list[Level]
    memory: Memory


class QuantizedArtifact(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One quantized model and what it cost. Perplexities are over the same held-out tokens;
    `kl_divergence` is the mean of KL(base || quantized) per token, in nats."""

    path: str
    method: str
    engine: str
    scheme: str
    format: str
    size_bytes: int
    size_base_bytes: int
    bits_per_weight: float
    perplexity: float | None = None
    perplexity_base: float | None = None
    kl_divergence: float | None = None
    top1_agreement: float | None = None
    eval_tokens: int | None = None
    cpu_s: float = 0.0
    wall_s: float = 0.0
    peak_rss_bytes: int | None = None
    digest: str | None = None
    imatrix: str = "none"
    fallback_tensors: int = 0
    reused: bool = False


class QuantizeReport(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    schema: str = "llmops.quantize/1"
    manifest: Manifest
    artifacts: list[QuantizedArtifact]


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
    schema: str = "llmops.run/1"
    manifest: Manifest
    rows: list[Row]
    steps: list[dict[str, object]] = []


Report = BenchReport | QuantizeReport | TrainReport | PipelineReport

SCHEMAS: dict[str, type[Report]] = {
    "llmops.bench/1": BenchReport,
    "llmops.quantize/1": QuantizeReport,
    "llmops.train/1": TrainReport,
    "llmops.run/1": PipelineReport,
}

UPGRADES: dict[str, Callable[[dict[str, object]], dict[str, object]]] = {}
"""Old schema name -> pure function to the next one. Empty while every schema is at 1."""


def decode_report(raw: bytes) -> Report:
    """Any report ever written, as its current type.

    Raises: UsageError if the bytes are no report of ours.
    """
    try:
        payload = msgspec.json.decode(raw)
    except msgspec.DecodeError as error:
        raise UsageError(f"not a JSON report: {error}") from error
    if not isinstance(payload, dict) or not isinstance(payload.get("schema"), str):
        raise UsageError("not a report: no 'schema' field", hint="pass a report.json written by llmops")
    while payload["schema"] in UPGRADES:
        payload = UPGRADES[payload["schema"]](payload)
    kind = SCHEMAS.get(payload["schema"])
    if kind is None:
        raise UsageError(f"report schema '{payload['schema']}' is unknown to this version", hint="upgrade llmops")
    try:
        return msgspec.convert(payload, kind)
    except msgspec.ValidationError as error:
        raise UsageError(f"broken report: {error}") from error
