"""The report of a plan that is kept; a plan that is only printed does without."""

from __future__ import annotations

import msgspec

from llmops_cli.core.report import Manifest, ReportKind
from llmops_cli.plan.report import PlanDetail

SCHEMA = "llmops.plan/1"


class PlanReport(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A plan that was kept, as `llmops report` reads it."""

    schema: str = SCHEMA
    manifest: Manifest
    detail: PlanDetail


KIND = ReportKind(schema=SCHEMA, report=PlanReport)
