"""What a training run reports."""

from __future__ import annotations

import msgspec

from llmops_cli.core.report import Manifest, Memory, ReportKind


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


KIND = ReportKind(schema="llmops.train/1", report=TrainReport)
