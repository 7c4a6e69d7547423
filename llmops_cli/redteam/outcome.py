"""What came of one attempt, as it is written down."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Decider(StrEnum):
    """What decided: a goal that is exact, the form of the answer, or a judge model."""

    GOAL = "goal"
    FORM = "form"
    MODEL = "model"


class AttemptOutcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of attempts.jsonl.

    `said` is the last message of a search. `blocked`: the guard, or a filter of the target's own,
    stopped it. `guarded`: it succeeds with the guard in front. `error`: the target gave no answer.
    `undecided`: what helps failed, an attacker or a judge, so that nothing is known of the target.
    """

    number: int
    success: bool = False
    refused: bool = False
    why: str = ""
    answer: str = ""
    said: str = ""
    blocked: bool | None = None
    guarded: bool | None = None
    compliance: float = 0.0
    seconds: float = 0.0
    error: str = ""
    undecided: str = ""
    decided_by: Decider = Decider.GOAL

    @property
    def is_decided(self) -> bool:
        """Whether it says anything of the target; only such count in a share."""
        return not self.error and not self.undecided
