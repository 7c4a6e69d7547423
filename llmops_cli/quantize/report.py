"""What quantization reports: artifacts with their cost and quality, and what a model on disk is."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from llmops_cli.core.problem import Problem
from llmops_cli.core.report import Json, Manifest, ReportKind
from llmops_cli.models.notices import Notice
from llmops_cli.models.truth import Truth
from llmops_cli.quantize.mixture import Mixture

SCHEMA = "llmops.quantize/2"


class ProblemKind(StrEnum):
    """What can be wrong with an artifact."""

    PERPLEXITY_GREW = "perplexity-grew"
    NOT_MEASURED = "not-measured"
    NOT_LOADED = "not-loaded"
    NOT_SERVED = "not-served"
    LOGITS_DIFFER = "logits-differ"
    TOKENS_DIFFER = "tokens-differ"
    LOST_TOO_MUCH = "lost-too-much"
    INCOMPLETE_ORIGINAL = "incomplete-original"
    NOTHING_QUANTIZED = "nothing-quantized"
    OTHER_TENSORS = "other-tensors"
    UNKNOWN = "unknown"
    """Told by a version that wrote sentences only."""


BY_LIMIT = frozenset({ProblemKind.PERPLEXITY_GREW, ProblemKind.NOT_MEASURED, ProblemKind.UNKNOWN})
"""What is no fault of an artifact by itself."""


class ArtifactProblem(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A problem as reports keep it."""

    kind: ProblemKind
    text: str


class Served(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an engine that takes the format made of an artifact.

    Greedy words, one stream's speed, memory, and the share of right answers for each task of each
    evaluator.

    The speed is the median over `repeats`, `output_tokens_per_s_interval` where that median lies
    (95 % where there are six repeats or more, else their range). `invalid_reasons` say why it
    should not be compared; such a speed is measured again by the next run. `key` is over all that
    answered.
    """

    engine: str
    says: str
    output_tokens_per_s: float | None = None
    peak_rss_bytes: int | None = None
    perplexity: float | None = None
    accuracy: dict[str, dict[str, float]] = {}
    measured_at: str | None = None
    repeats: int | None = None
    output_tokens_per_s_interval: tuple[float, float] | None = None
    invalid_reasons: list[str] = []
    key: str = ""

    @property
    def has_valid_speed(self) -> bool:
        """Whether the speed may be kept and compared."""
        return bool(self.output_tokens_per_s and self.measured_at and not self.invalid_reasons)


class QuantizedArtifact(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One quantized model and what it cost.

    Perplexities are over the same held-out tokens; `kl_divergence` is the mean of
    KL(base || quantized) per token, in nats; `*_rounding` are plain rounding's at the same bits and
    groups. `quality_base` names the base: the original in Transformers, or a file where that could
    not be had. `check` is the comparison with the original that every artifact has. `loads_in` is
    the engine that loaded it. `requantized_from`: what the base's weights had gone through already,
    so that its loss comes on top. `notices` say where it is known not to be the original,
    `problems` what is wrong: a limit that was broken, an engine that did not load it.
    `vocabulary` has the tokens of which each was foretold.
    `quantized_share` is of the weights in matrices that were to be quantized; `notes` say what was
    kept otherwise than the scheme's name tells.
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
    vocabulary: int | None = None
    quality_base: str = ""
    check: Truth | None = None
    cpu_s: float = 0.0
    wall_s: float = 0.0
    peak_rss_bytes: int | None = None
    digest: str | None = None
    calibration: dict[str, Any] | None = None  # Any: the worker's own figures
    imatrix: str = "none"
    requantized_from: str = ""
    fallback_tensors: int = 0
    mixture: Mixture | None = None
    notices: list[Notice] = []
    quantized_share: float | None = None
    notes: list[str] = []
    served: Served | None = None
    loads_in: list[str] = []
    problems: list[ArtifactProblem] = []
    reused: bool = False

    @property
    def text_is_foreign(self) -> bool:
        """Whether the base knows less of the text than one that takes every token for as likely.

        Its perplexity is then beyond the vocabulary, and what quantizing changes of it means
        nothing.
        """
        if self.perplexity_base is None or self.vocabulary is None:
            return False
        return self.perplexity_base > self.vocabulary


class QuantizeReport(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    schema: str = SCHEMA
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
    """What a model on disk is.

    `bits` and `group_size` are of the quantized weights by its config; `bits_per_weight` is over
    all tensors. `loads_in`: engines that loaded it just now; `taken_by`: those whose format it is,
    which were not tried; `does_not_load`: what llama.cpp said when it was. `check` is what its
    comparison with the original found when it was made.
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
    taken_by: list[str] = []
    does_not_load: str | None = None
    bits_per_weight: float | None = None
    parts: int = 1
    made_from: str | None = None
    made_from_digest: str | None = None
    check: Truth | None = None


def problems_of(report: QuantizeReport, *, max_increase: float | None) -> list[Problem]:
    """What is broken, and what breaks the limit on perplexity.

    An artifact that was not measured does not keep the limit.
    """
    found = []
    for artifact in report.artifacts:
        wrong = [problem for problem in artifact.problems if problem.kind not in BY_LIMIT]
        if max_increase is not None:
            wrong += _breaking(artifact)
        for problem in wrong:
            text = f"{artifact.name}: {problem.text}"
            found.append(Problem(problem.kind, text))
    return found


def _breaking(artifact: QuantizedArtifact) -> list[ArtifactProblem]:
    if artifact.text_is_foreign:
        text = "the base knows nothing of the text that its perplexity is measured on"
        return [ArtifactProblem(kind=ProblemKind.NOT_MEASURED, text=text)]
    if artifact.perplexity is not None:
        return [p for p in artifact.problems if p.kind is ProblemKind.PERPLEXITY_GREW]
    if artifact.problems:
        return []
    text = "its perplexity was not measured"
    unmeasured = ArtifactProblem(kind=ProblemKind.NOT_MEASURED, text=text)
    return [unmeasured]


def problems_with_kinds(report: Json) -> Json:
    """Schema 1 kept sentences; nothing is guessed from their wording."""
    unknown = str(ProblemKind.UNKNOWN)
    artifacts = []
    for artifact in report["artifacts"]:
        texts = artifact.get("problems", [])
        problems = [{"kind": unknown, "text": text} for text in texts]
        artifacts.append({**artifact, "problems": problems})
    return {**report, "schema": SCHEMA, "artifacts": artifacts}


KIND = ReportKind(
    schema=SCHEMA, report=QuantizeReport, upgrades={"llmops.quantize/1": problems_with_kinds}
)
