"""What became of the conditions of a gate, whatever command's run was judged."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import msgspec

from llmops_cli.show.junit import Case, junit_suite


class ConditionOutcome(StrEnum):
    PASSED = "passed"
    FAILED = "failed"
    UNKNOWN = "unknown"
    """It is impossible to tell, which fails a gate too."""
    WARNED = "warned"
    """A reader should know of it, and the gate does not fail by it."""


class JudgedCondition(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A condition at one place of a run, such as a load.

    `asked`: false for what the gate looks at of itself, such as whether the runs are alike.
    """

    condition: str
    load: str
    outcome: ConditionOutcome
    text: str
    asked: bool = True

    @property
    def fails(self) -> bool:
        """Whether the gate fails by it."""
        return self.outcome in (ConditionOutcome.FAILED, ConditionOutcome.UNKNOWN)


def verdict_words(judged: Sequence[JudgedCondition]) -> str | None:
    """How many conditions are not passed, each once whatever the loads; None if the gate passes."""
    bad = [one for one in judged if one.fails]
    if not bad:
        return None
    asked = {one.condition for one in judged if one.asked}
    broken = {one.condition for one in bad if one.asked}
    first = bad[0]
    counts = "these runs cannot be judged"
    if broken:
        counts = f"{len(broken)} of {len(asked)} conditions not passed"
    return f"{counts}; {first.condition} at {first.load}: {first.text}"


def gate_junit(judged: Sequence[JudgedCondition]) -> str:
    """One test case per condition and place."""
    cases = [_case(one) for one in judged]
    return junit_suite("llmops report gate", cases)


def _case(judged: JudgedCondition) -> Case:
    failure = ""
    if judged.fails:
        failure = f"{judged.outcome}: {judged.text}"
    return Case(judged.load, judged.condition, failure, judged.text)
