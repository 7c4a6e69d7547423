"""What is known of prompts on the cases that a search sees, and how they rank."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from llmops_cli.core.errors import EngineFailed
from llmops_cli.prompt.case_file.suite import PromptSource
from llmops_cli.prompt.evals.outcome import EvalOutcome
from llmops_cli.prompt.optimize.acceptance import regressed
from llmops_cli.prompt.optimize.asking import Asker
from llmops_cli.prompt.optimize.candidate import BASE, Candidate, Example, composed
from llmops_cli.prompt.optimize.examples import examples_of
from llmops_cli.prompt.optimize.plan import OptimizePlan

DIGITS = 9
"""Of sums of scores, which come in any order."""


class Rank(NamedTuple):
    """Of a prompt on some cases; more is better. The shorter of two alike wins."""

    passes: int
    score: float
    shortness: int


class Standing:
    """Of all candidates of one search; `examples` are known once the base is measured."""

    def __init__(self, plan: OptimizePlan, asker: Asker) -> None:
        self._plan = plan
        self._asker = asker
        self.examples: dict[int, Example] = {}

    async def measure_base(self) -> None:
        """Raises: BudgetSpent, and EngineFailed where no answer has a verdict."""
        splits = self._plan.splits
        seen = [*splits.train, *splits.validation]
        await self._asker.have([self._plan.source], seen)
        outcomes = self.outcomes(BASE, seen)
        if not any(each.is_decided for each in outcomes.values()):
            kinds = [each.error for each in outcomes.values()]
            raise EngineFailed(
                f"no answer to the prompt as it is has a verdict: {kinds[0]}",
                hint="check --url and --model; --resume asks again",
            )
        self.examples = examples_of(self._plan.source, self._plan.cases, splits.train, outcomes)

    async def measure(self, candidates: Sequence[Candidate], cases: Sequence[int]) -> None:
        """Raises: BudgetSpent."""
        await self._asker.have([self.source(each) for each in candidates], cases)

    def source(self, candidate: Candidate) -> PromptSource:
        return composed(
            self._plan.source,
            candidate,
            wordings=self._plan.wordings,
            examples=self.examples,
        )

    def outcomes(self, candidate: Candidate, cases: Sequence[int]) -> dict[int, EvalOutcome]:
        return self._asker.answers.of(self.source(candidate), cases)

    def rank(self, candidate: Candidate, cases: Sequence[int]) -> Rank:
        """A case that it shows as an example counts as it was without: its answer is given away."""
        outcomes = self.outcomes(candidate, cases)
        shown = [case for case in candidate.examples if case in outcomes]
        outcomes |= self.outcomes(BASE, shown)
        return rank_of(outcomes, self.source(candidate))

    def is_perfect(self, candidate: Candidate) -> bool:
        splits = self._plan.splits
        cases = [*splits.train, *splits.validation]
        return self.rank(candidate, cases).passes == len(cases)

    def is_no_worse(self, candidate: Candidate, best: Candidate) -> bool:
        """On the validation split, and on the anchors that a search sees."""
        return self.is_no_worse_in_validation(candidate, best) and not self._regressed(candidate)

    def is_no_worse_in_validation(self, candidate: Candidate, best: Candidate) -> bool:
        validation = self._plan.splits.validation
        return self.rank(candidate, validation)[:2] >= self.rank(best, validation)[:2]

    def _regressed(self, candidate: Candidate) -> list[int]:
        splits = self._plan.splits
        seen = [*splits.train, *splits.validation]
        anchors = [case for case in seen if self._plan.cases[case].is_anchor]
        return regressed(anchors, self.outcomes(BASE, anchors), self.outcomes(candidate, anchors))

    def calls_left(self, budget: int, *, tested: int) -> int:
        """For proposals, by what was needed: retries are not in it, so it is repeatable.

        `tested`: prompts that were tested beside the base at the end of earlier budgets.
        """
        kept_back = (2 + tested) * len(self._plan.splits.test)
        return budget - kept_back - len(self._asker.answers.counted)


def rank_of(outcomes: Mapping[int, EvalOutcome], source: PromptSource) -> Rank:
    """An answer without a verdict is worth nothing."""
    decided = [each for each in outcomes.values() if each.is_decided]
    scores = [each.score.score for each in decided if each.score is not None]
    return Rank(
        passes=sum(each.passed for each in decided),
        score=round(math.fsum(scores), DIGITS),
        shortness=-len(source.text),
    )
