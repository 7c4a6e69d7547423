"""Whether a prompt is better on cases that had no part in finding it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

import msgspec

from llmops_cli.core.significance import SURE, mcnemar_p, paired_interval
from llmops_cli.prompt.evals.outcome import EvalOutcome

LEAST_TEST = 5
"""Cases: four that are all won can come of chance in one of 16 tries."""

Outcomes = Mapping[int, EvalOutcome]
"""By the case's number."""


class Verdict(StrEnum):
    """Why a prompt is accepted or not; reports hold the text."""

    ACCEPTED = "better on the test split"
    NOTHING_TRIED = "a cap was reached before any proposal was measured"
    NOTHING_BETTER = "no proposal was better on the validation split"
    NOT_SURE = "not surely better on the test split"
    ANCHORS = "an anchor case fails that passed before"
    UNFINISHED = "stopped before the test was done"
    UNMEASURED = "no answer to the test has a verdict"


class PairedTest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base and best on the same cases of the test split.

    `p` is one-sided: the chance of as many wins if the best were no better (exact McNemar). It has
    to be below `most_p`, which halves with each other prompt that was tested on the same cases.
    """

    cases: int
    only_base: int
    only_best: int
    difference: float
    ci95: tuple[float, float]
    p: float
    most_p: float = SURE

    @property
    def is_improvement(self) -> bool:
        return self.p < self.most_p


def improvement_p(wins: int, losses: int) -> float:
    """One-sided; 1 where nothing speaks for an improvement."""
    if wins <= losses:
        return 1.0
    return mcnemar_p(wins, losses) / 2


def paired_test(base: Outcomes, best: Outcomes, *, looks_before: int = 0) -> PairedTest:
    """A case that only the best has no verdict on is one that it fails.

    `looks_before`: other prompts that these cases were asked about. Each look has half the chance
    of the one before to be wrong, so that all of them together have at most twice the first one's.
    """
    differences = [
        float(_passed(best.get(case))) - float(outcome.passed)
        for case, outcome in base.items()
        if outcome.is_decided
    ]
    wins = sum(each > 0 for each in differences)
    losses = sum(each < 0 for each in differences)
    mean = (wins - losses) / len(differences) if differences else 0.0
    return PairedTest(
        cases=len(differences),
        only_base=losses,
        only_best=wins,
        difference=mean,
        ci95=paired_interval(differences),
        p=improvement_p(wins, losses),
        most_p=SURE / 2**looks_before,
    )


def _passed(outcome: EvalOutcome | None) -> bool:
    return outcome is not None and outcome.passed


def regressed(anchors: Sequence[int], base: Outcomes, best: Outcomes) -> list[int]:
    """Anchors that the base passes and the best does not."""
    return [case for case in anchors if _passed(base.get(case)) and not _passed(best.get(case))]


def verdict_of(test: PairedTest, *, regressed: Sequence[int]) -> Verdict:
    if regressed:
        return Verdict.ANCHORS
    return Verdict.ACCEPTED if test.is_improvement else Verdict.NOT_SURE
