"""What `llmops guard train` reports of a moderation model."""

from __future__ import annotations

import msgspec

from llmops_cli.core.report import Manifest, ReportKind

SCHEMA = "llmops.moderation-train/1"

Interval = tuple[float, float]


class CategoryRates(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of texts that the judging model never saw, with 95 % intervals.

    `caught`: the share of `texts` that reach the threshold. `alarms`: of all `others`.
    `precision`: average precision over all thresholds.
    """

    category: str
    texts: int
    others: int
    threshold: float
    caught: float
    caught_ci95: Interval
    alarms: float
    alarms_ci95: Interval
    precision: float


class ModerationTrainReport(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`left_out`: categories with too few texts to be fitted, and how many each has."""

    schema: str = SCHEMA
    manifest: Manifest
    folder: str
    texts: int
    categories: list[CategoryRates]
    left_out: dict[str, int]
    window_ms: float


KIND = ReportKind(schema=SCHEMA, report=ModerationTrainReport, upgrades={})
