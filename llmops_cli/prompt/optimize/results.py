"""What a search and a test came to: rates by split, the paired test, anchors and the verdict."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from llmops_cli.prompt.case_file.suite import PromptSource
from llmops_cli.prompt.evals.answers import title_of
from llmops_cli.prompt.evals.outcome import EvalOutcome
from llmops_cli.prompt.evals.run_key import names_of
from llmops_cli.prompt.optimize.acceptance import (
    PairedTest,
    Verdict,
    paired_test,
    regressed,
    verdict_of,
)
from llmops_cli.prompt.optimize.asking import Answers
from llmops_cli.prompt.optimize.candidate import BASE, base_messages
from llmops_cli.prompt.optimize.plan import OptimizePlan
from llmops_cli.prompt.optimize.report import AnchorResult, PromptResult, TestedCase
from llmops_cli.prompt.optimize.search import Found

SHARE_DIGITS = 6


class Tested(msgspec.Struct, frozen=True, kw_only=True):
    """What was found, and whether its test was done; all answers are in `answers`.

    `looks_before`: other prompts that were tested on the same cases, at the end of earlier budgets.
    """

    plan: OptimizePlan
    answers: Answers
    found: Found
    best: PromptSource
    is_tested: bool
    looks_before: int = 0

    @property
    def verdict(self) -> Verdict:
        if not self.is_tested:
            return Verdict.UNFINISHED
        if self._rate(self.plan.source, self.plan.splits.test) is None:
            return Verdict.UNMEASURED
        paired = self.paired()
        if paired is None:
            is_cut = self.found.stopped is not None and not self.found.tried
            return Verdict.NOTHING_TRIED if is_cut else Verdict.NOTHING_BETTER
        return verdict_of(paired, regressed=self._regressed())

    @property
    def is_accepted(self) -> bool:
        return self.verdict is Verdict.ACCEPTED

    @property
    def kept(self) -> PromptSource:
        """What to use from now on."""
        return self.best if self.is_accepted else self.plan.source

    def paired(self) -> PairedTest | None:
        """None before the test, and where there was nothing to test."""
        if not self.is_tested or self.found.best == BASE:
            return None
        test = self.plan.splits.test
        base = self.answers.of(self.plan.source, test)
        best = self.answers.of(self.best, test)
        return paired_test(base, best, looks_before=self.looks_before)

    def anchors(self) -> AnchorResult:
        return AnchorResult(
            cases=len(self._anchors()),
            regressed=[title_of(self.plan.cases[case], case) for case in self._regressed()],
        )

    def test_cases(self) -> list[TestedCase]:
        """None before the test."""
        if not self.is_tested:
            return []
        test = self.plan.splits.test
        names = names_of(self.plan.cases)
        base = self.answers.of(self.plan.source, test)
        best = self.answers.of(self.best, test)
        return [
            TestedCase(case=names[each], base=_passes(base[each]), best=_passes(best[each]))
            for each in test
        ]

    def results(self) -> tuple[PromptResult, PromptResult]:
        """Of the base and of the best."""
        base = self._result(self.plan.source, [])
        return base, self._result(self.best, self.found.best.changes)

    def _anchors(self) -> list[int]:
        return [case for case in self.plan.splits.every if self.plan.cases[case].is_anchor]

    def _regressed(self) -> list[int]:
        anchors = self._anchors()
        base = self.answers.of(self.plan.source, anchors)
        return regressed(anchors, base, self.answers.of(self.best, anchors))

    def _result(self, source: PromptSource, changes: list[str]) -> PromptResult:
        splits = self.plan.splits
        train = self._rate(source, splits.train)
        test = self._rate(source, splits.test) if self.is_tested else None
        overfit = None
        if train is not None and test is not None:
            overfit = round(train - test, SHARE_DIGITS)
        outcomes = self.answers.of(source, splits.every).values()
        return PromptResult(
            train=train,
            validation=self._rate(source, splits.validation),
            test=test,
            overfit=overfit,
            errors=sum(not each.is_decided for each in outcomes),
            changes=changes,
            messages=base_messages(source),
        )

    def _rate(self, source: PromptSource, cases: Sequence[int]) -> float | None:
        outcomes = self.answers.of(source, cases).values()
        decided = [each for each in outcomes if each.is_decided]
        if not decided:
            return None
        return sum(each.passed for each in decided) / len(decided)


def _passes(outcome: EvalOutcome) -> bool | None:
    return outcome.passed if outcome.is_decided else None
