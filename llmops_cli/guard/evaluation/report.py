"""What `llmops guard eval` reports, and the verdicts beside it."""

from __future__ import annotations

import msgspec

from llmops_cli.core.report import Manifest, ReportKind
from llmops_cli.guard.evaluation.rates import DetectionRates, PerKb

SCHEMA = "llmops.guard-eval/1"


class GuardEvalRecipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`policy` and `detector` are as they were given; None is the toolkit's own, or none."""

    data: str
    policy: str | None = None
    role: str = "user"
    detector: str | None = None


class WrongVerdict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A text that was misjudged: `row` counts from 1, `rule` is that of the strongest evidence.

    The text itself is not kept: it may hold what should not be written anywhere else.
    """

    row: int
    label: str
    family: str
    source: str
    score: float
    rule: str = ""


class GuardEvalReport(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`wrong`: the first misjudged texts of each kind; all are in verdicts.jsonl."""

    schema: str = SCHEMA
    manifest: Manifest
    rows: int
    overall: DetectionRates
    families: dict[str, DetectionRates]
    sources: dict[str, DetectionRates]
    us_per_kb: PerKb
    us_per_text: PerKb
    wrong: list[WrongVerdict] = []


class VerdictRow(msgspec.Struct, frozen=True, kw_only=True):
    """A line of verdicts.jsonl. `digest` is that of the text: SHA-256, its first 16 digits."""

    row: int
    digest: str
    label: str
    family: str
    source: str
    action: str
    score: float
    rule: str = ""

    @property
    def is_attack(self) -> bool:
        return self.label == ATTACK

    @property
    def is_right(self) -> bool:
        flagged = self.action in ("flag", "block")
        return flagged == self.is_attack


ATTACK = "attack"
HONEST = "benign"
KIND = ReportKind(schema=SCHEMA, report=GuardEvalReport, upgrades={})
