"""What quantization reports: artifacts with their cost and quality, and what a model on disk is."""

from __future__ import annotations

from typing import Any

import msgspec

from llmops_cli.core.report import Manifest, ReportKind


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


KIND = ReportKind(schema="llmops.quantize/1", report=QuantizeReport)
