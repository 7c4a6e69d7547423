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
    """A condition at one place of a run, such as a load."""

    condition: str
    load: str
    outcome: ConditionOutcome
    text: str

    @property
    def fails(self) -> bool:
        """Whether the gate fails by it."""
        return self.outcome in (ConditionOutcome.FAILED, ConditionOutcome.UNKNOWN)


def gate_junit(judged: Sequence[JudgedCondition]) -> str:
    """One test case per condition and place."""
    cases = [_case(one) for one in judged]
    return junit_suite("llmops report gate", cases)


def _case(judged: JudgedCondition) -> Case:
    failure = ""
    if judged.fails:
        failure = f"{judged.outcome}: {judged.text}"
    return Case(judged.load, judged.condition, failure, judged.text)
