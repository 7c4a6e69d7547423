"""The report of `llmops prompt optimize`."""

from __future__ import annotations

from typing import Any

import msgspec

from llmops_cli.core.case_names import NamedCase, without_digest
from llmops_cli.core.report import Json, Manifest, ReportKind
from llmops_cli.prompt.optimize.acceptance import PairedTest
from llmops_cli.prompt.optimize.halving import Forecast
from llmops_cli.prompt.optimize.search import Tried

SCHEMA = "llmops.prompt-optimize/2"


class PromptResult(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Pass rates of a prompt by split, over the answers with a verdict; None where there are none.

    `test` is None too where the test was broken off: a part of it proves nothing. `overfit` is
    train less test. `errors`: answers without a verdict. `messages` have the holes of the base.
    """

    train: float | None
    validation: float | None
    test: float | None
    overfit: float | None
    errors: int
    changes: list[str]
    messages: list[dict[str, Any]]  # Any: OpenAI's form


class AnchorResult(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`regressed`: those that the base passes and the best does not."""

    cases: int
    regressed: list[str]


class TestedCase(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A case of the test split: whether base and best pass it, None without a verdict."""

    case: NamedCase
    base: bool | None
    best: bool | None


class OptimizeReport(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`accepted`: whether `best` is what the folder's files hold; else they hold the base.

    `calls` are requests of all runs in the folder, retries too; so are tokens and cost, at most
    where a killed process left a request open. `test_cases`: by which saved runs are paired.
    """

    schema: str = SCHEMA
    manifest: Manifest
    accepted: bool
    verdict: str
    base: PromptResult
    best: PromptResult
    paired: PairedTest | None
    anchors: AnchorResult
    calls: int
    budget_calls: int
    tokens: int
    cost: float | None
    splits: dict[str, int]
    forecast: Forecast
    rounds: int
    search_end: str
    tried: list[Tried]
    notes: list[str] = []
    stopped: str | None = None
    unreadable_lines: int = 0
    test_cases: list[TestedCase] = []


def digests_without_places(payload: Json) -> Json:
    """Digests of version 1 held the lines of a case's assertions."""
    tested = [
        {**each, "case": without_digest(each["case"])} for each in payload.get("test_cases", [])
    ]
    return {**payload, "schema": SCHEMA, "test_cases": tested}


KIND = ReportKind(
    schema=SCHEMA,
    report=OptimizeReport,
    upgrades={"llmops.prompt-optimize/1": digests_without_places},
)
