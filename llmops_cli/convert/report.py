"""What a conversion reports, and what one would do."""

from __future__ import annotations

import msgspec

from llmops_cli.core.report import Manifest, ReportKind

SCHEMA = "llmops.convert/1"


class ConvertReport(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A converted model and what that cost.

    `converter` says whose program wrote it. `left_out`: beginnings of names of tensors that are in
    the source and not here, such as a vision tower's, and how many there are of each.
    `reused`: it was made before.
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


KIND = ReportKind(schema=SCHEMA, report=ConvertReport, upgrades={})
