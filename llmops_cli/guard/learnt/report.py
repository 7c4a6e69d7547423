"""What `llmops guard train` reports."""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec import structs

from llmops_cli.core.errors import UsageError
from llmops_cli.core.report import Json, Manifest, ReportKind
from llmops_cli.guard.learnt.model import Stage
from llmops_cli.guard.learnt.transfer import Outcome, Transfer

SCHEMA = "llmops.guard-train/2"
GONE = ("weights", "asked_from")
"""Of a stage's fields."""
WORDS = {
    Outcome.BEATS_RULES: "It beats the rules alone on sources that it never saw.",
    Outcome.NO_GAIN: (
        "It does NOT beat the rules alone on sources that it never saw: leave it off, unless your "
        "own texts look like those it was trained on."
    ),
    Outcome.TOO_FEW_SOURCES: (
        "Whether it beats the rules alone is NOT known: attacks of three sources or more are "
        "needed to tell."
    ),
}
"""Of each outcome, what a card, a page and a terminal say."""


class GuardTrainRecipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`false_alarms`: the share of honest texts that may be flagged, rules and stage together."""

    data: str
    false_alarms: float = 0.005
    seed: int = 0


def recipe_of(
    data: Path,
    *,
    false_alarms: float | None,
    seed: int | None,
) -> GuardTrainRecipe:
    """Raises: UsageError for a share that is none."""
    recipe = GuardTrainRecipe(data=str(data))
    if false_alarms is not None:
        if not 0 < false_alarms < 1:
            raise UsageError(
                f"--false-alarms is {false_alarms}",
                hint="a share above 0 and below 1, such as 0.005",
            )
        recipe = structs.replace(recipe, false_alarms=false_alarms)
    if seed is not None:
        recipe = structs.replace(recipe, seed=seed)
    return recipe


class Trained(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What it was fitted to."""

    attacks: int
    honest: int
    sources: int


class GuardTrainReport(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A stage, what it was fitted to, and whether it is worth anything elsewhere.

    `window_ms`: one window's median time in the stage, on one core.
    """

    schema: str = SCHEMA
    manifest: Manifest
    folder: str
    trained: Trained
    stage: Stage
    transfer: Transfer
    window_ms: float


def _train_1_to_2(old: Json) -> Json:
    """Of a stage that weighed other signs: what it was worth stays, its weights are no more."""
    stage = {name: value for name, value in old["stage"].items() if name not in GONE}
    transfer = dict(old["transfer"])
    transfer["overall"] = _without_asked(transfer["overall"])
    transfer["sources"] = {
        name: _without_asked(rates) for name, rates in transfer["sources"].items()
    }
    return {
        **old,
        "schema": SCHEMA,
        "stage": {**stage, "features": "signs/1"},
        "transfer": transfer,
    }


def _without_asked(rates: Json) -> Json:
    return {name: value for name, value in rates.items() if name != "asked_share"}


KIND = ReportKind(
    schema=SCHEMA, report=GuardTrainReport, upgrades={"llmops.guard-train/1": _train_1_to_2}
)
