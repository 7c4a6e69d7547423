"""What a conversion reports, and what one would do."""

from __future__ import annotations

import msgspec

from llmops_cli.core.errors import EngineFailed
from llmops_cli.core.report import Manifest, ReportKind
from llmops_cli.models.notices import Notice
from llmops_cli.models.truth import Outcome, Truth

SCHEMA = "llmops.convert/1"


class ConvertReport(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A converted model and what that cost.

    `converter` says whose program wrote it. `left_out`: beginnings of names of tensors that are in
    the source and not here, such as a vision tower's, and how many there are of each.
    `check`: whether it says what the original says in Transformers; `notices`: where it is known
    not to. `reused`: it was made before.
    """

    schema: str = SCHEMA
    manifest: Manifest
    source_format: str
    format: str
    scheme: str | None
    path: str
    converter: str
    size_bytes: int
    bits_per_weight: float | None
    digest: str
    left_out: dict[str, int] = {}
    check: Truth | None = None
    notices: list[Notice] = []
    loads_in: list[str] = []
    cpu_s: float = 0.0
    wall_s: float = 0.0
    peak_rss_bytes: int | None = None
    reused: bool = False


class ConvertPlan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a conversion would do. `size_bytes` is None where only reading the file would tell."""

    model: str
    source_format: str
    format: str
    scheme: str | None
    path: str
    converter: str
    environment: str
    environment_is_here: bool
    size_bytes: int | None


def failure_of(report: ConvertReport) -> EngineFailed | None:
    """None if it is what it was made from, or nobody looked."""
    check = report.check
    if check is None or check.outcome is not Outcome.FAILED:
        return None
    return EngineFailed(str(check), hint="what was made is marked, and should not be used")


KIND = ReportKind(schema=SCHEMA, report=ConvertReport, upgrades={})
