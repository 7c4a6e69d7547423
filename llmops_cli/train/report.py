"""What a training run reports."""

from __future__ import annotations

import msgspec

from llmops_cli.core.report import Manifest, Memory, ReportKind

HERE = "."
"""The model's place in the report that lies in its folder, which may be moved."""
Curve = list[tuple[int, float]]
"""[step, value], thinned; metrics.jsonl beside the model has every step."""


class Validation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Data that the model is not trained on, after `step`."""

    step: int
    loss: float
    perplexity: float
    tokens: int = 0
    skills: dict[str, float] = {}


class SampleAnswer(msgspec.Struct, frozen=True):
    """What the exported model said to a question of the data, held out where some is."""

    question: str
    answer: str


class TrainReport(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`loss` is that of the last step; `in_force` is read back from what ran, not from the wish.

    `training_cpu_s`: of the first rank's steps, without loading and saving the model.
    """

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
    loss_curve: Curve = []
    reused: bool = False
    strategy: str = "single"
    world_size: int = 1
    grad_norm_curve: Curve = []
    learning_rate_curve: Curve = []
    tokens_per_s_curve: Curve = []
    validation: list[Validation] = []
    in_force: dict[str, object] = {}
    plan: dict[str, object] = {}
    data: dict[str, object] = {}
    notices: list[str] = []
    spikes: list[dict[str, object]] = []
    saves: list[dict[str, object]] = []
    resumed_from: int | None = None
    training_cpu_s: float | None = None
    flops_per_s: float | None = None
    mfu: float | None = None
    export: dict[str, object] = {}


def answers_in(report: TrainReport) -> list[SampleAnswer]:
    """None in reports of earlier versions."""
    return msgspec.convert(report.export.get("answers", []), list[SampleAnswer])


KIND = ReportKind(schema="llmops.train/1", report=TrainReport)
