"""Hill climbing by rounds of successive halving; no capable model is needed for it.

Everything here follows from the seed and the answers, so a run that was killed takes the same way
again, through the answers that it has.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

import msgspec

from llmops_cli.core.errors import EngineFailed
from llmops_cli.core.progress import Progress
from llmops_cli.prompt.case_file.suite import PromptSource
from llmops_cli.prompt.evals.outcome import EvalOutcome
from llmops_cli.prompt.optimize.acceptance import regressed
from llmops_cli.prompt.optimize.asking import Asker
from llmops_cli.prompt.optimize.candidate import BASE, Candidate, Example, composed
from llmops_cli.prompt.optimize.examples import examples_of
from llmops_cli.prompt.optimize.halving import rungs, width_for
from llmops_cli.prompt.optimize.plan import OptimizePlan
from llmops_cli.prompt.optimize.proposals import Space, neighbours
from llmops_cli.prompt.optimize.recipe import OptimizeRecipe
from llmops_cli.runtime.chat import BudgetSpent
from llmops_cli.runtime.outcomes import StopReason

DIGITS = 9
"""Of sums of scores, which come in any order."""


class End(StrEnum):
    """Why the search ended; reports hold the text."""

    BUDGET = "its share of the budget is used"
    PERFECT = "every training and validation case passes"
    NO_MORE = "there is nothing left to propose"
    CAPPED = "a cap was reached before"


class Rank(NamedTuple):
    """Of a prompt on some cases; more is better. The shorter of two alike wins."""

    passes: int
    score: float
    shortness: int


class Tried(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One proposal: on how many training cases it was, and what became of it."""

    round: int
    changes: list[str]
    cases: int
    passes: int
    train_rate: float
    validation_rate: float | None = None
    is_kept: bool = False


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """`stopped`: a cap that was reached before the search was done."""

    best: Candidate
    examples: dict[int, Example]
    rounds: int
    tried: list[Tried]
    end: End
    stopped: StopReason | None = None


class Search:
    """One search while it goes."""

    def __init__(
        self,
        recipe: OptimizeRecipe,
        plan: OptimizePlan,
        asker: Asker,
        progress: Progress,
    ) -> None:
        self._recipe = recipe
        self._plan = plan
        self._asker = asker
        self._progress = progress
        self._examples: dict[int, Example] = {}
        self._best = BASE
        self._seen: set[Candidate] = {BASE}
        self._tried: list[Tried] = []
        self._rounds = 0

    async def run(self) -> Found:
        """Raises: EngineFailed where no answer to the base has a verdict."""
        stopped = None
        try:
            await self._measure_base()
            end = await self._climb()
        except BudgetSpent as spent:
            end = End.CAPPED
            stopped = StopReason.of_cap(spent.cap)
        return Found(
            best=self._best,
            examples=self._examples,
            rounds=self._rounds,
            tried=self._tried,
            end=end,
            stopped=stopped,
        )

    async def _measure_base(self) -> None:
        splits = self._plan.splits
        await self._asker.have([self._plan.source], [*splits.train, *splits.validation])
        outcomes = self._outcomes(BASE, [*splits.train, *splits.validation])
        if not any(each.is_decided for each in outcomes.values()):
            kinds = [each.error for each in outcomes.values()]
            raise EngineFailed(
                f"no answer to the prompt as it is has a verdict: {kinds[0]}",
                hint="check --url and --model; --resume asks again",
            )
        self._examples = examples_of(self._plan.source, self._plan.cases, splits.train, outcomes)

    async def _climb(self) -> End:
        splits = self._plan.splits
        while True:
            if self._is_perfect():
                return End.PERFECT
            width = width_for(
                self._left(), train=len(splits.train), validation=len(splits.validation)
            )
            if not width:
                return End.BUDGET
            proposals = self._proposals()[:width]
            if not proposals:
                return End.NO_MORE
            await self._round(proposals)

    def _left(self) -> int:
        """Calls for proposals, by what was needed: retries are not in it, so it is repeatable."""
        kept_back = 2 * len(self._plan.splits.test)
        return self._recipe.calls - kept_back - len(self._asker.answers.counted)

    def _is_perfect(self) -> bool:
        splits = self._plan.splits
        cases = [*splits.train, *splits.validation]
        return self._rank(self._best, cases).passes == len(cases)

    def _proposals(self) -> list[Candidate]:
        space = Space(
            wordings=tuple(self._plan.wordings),
            examples=tuple(self._examples),
            most_examples=self._recipe.most_examples,
        )
        chance = random.Random(f"{self._recipe.seed}:{self._rounds}")
        return neighbours(self._best, space, seen=self._seen, chance=chance)

    async def _round(self, proposals: Sequence[Candidate]) -> None:
        """Halved until all training cases are through; the first of the rest against the best."""
        train = self._plan.splits.train
        self._rounds += 1
        self._seen |= set(proposals)
        alive = list(proposals)
        for size in rungs(len(train)):
            part = train[:size]
            await self._asker.have([self.source(each) for each in alive], part)
            alive.sort(key=lambda each: self._rank(each, part), reverse=True)
            keeps = len(alive) if size == len(train) else -(-len(alive) // 2)
            self._drop(alive[keeps:], part)
            alive = alive[:keeps]
        self._drop(alive[1:], train)
        await self._challenge(alive[0])
        passes = self._rank(self._best, train).passes
        self._progress.say(
            f"round {self._rounds}: {len(proposals)} proposals, best now {passes} of {len(train)} "
            f"in training, {self._left()} calls left for more"
        )

    async def _challenge(self, winner: Candidate) -> None:
        """It takes the best's place if it is better in training, and no worse in validation."""
        splits = self._plan.splits
        rank = self._rank(winner, splits.train)
        if rank <= self._rank(self._best, splits.train):
            self._drop([winner], splits.train)
            return
        await self._asker.have([self.source(winner)], splits.validation)
        validated = self._rank(winner, splits.validation)
        standing = self._rank(self._best, splits.validation)
        is_kept = validated[:2] >= standing[:2] and not self._regressed(winner)
        tried = self._tried_of(winner, splits.train)
        validation_rate = validated.passes / len(splits.validation)
        tried = msgspec.structs.replace(tried, validation_rate=validation_rate, is_kept=is_kept)
        self._tried.append(tried)
        if is_kept:
            self._best = winner

    def _regressed(self, candidate: Candidate) -> list[int]:
        """Anchors of the splits that the search sees."""
        splits = self._plan.splits
        seen = [*splits.train, *splits.validation]
        anchors = [case for case in seen if self._plan.cases[case].is_anchor]
        base = self._outcomes(BASE, anchors)
        return regressed(anchors, base, self._outcomes(candidate, anchors))

    def _drop(self, candidates: Sequence[Candidate], cases: Sequence[int]) -> None:
        self._tried += [self._tried_of(each, cases) for each in candidates]

    def _tried_of(self, candidate: Candidate, cases: Sequence[int]) -> Tried:
        passes = self._rank(candidate, cases).passes
        return Tried(
            round=self._rounds,
            changes=candidate.changes,
            cases=len(cases),
            passes=passes,
            train_rate=passes / len(cases),
        )

    def source(self, candidate: Candidate) -> PromptSource:
        return composed(
            self._plan.source,
            candidate,
            wordings=self._plan.wordings,
            examples=self._examples,
        )

    def _outcomes(self, candidate: Candidate, cases: Sequence[int]) -> dict[int, EvalOutcome]:
        return self._asker.answers.of(self.source(candidate), cases)

    def _rank(self, candidate: Candidate, cases: Sequence[int]) -> Rank:
        """A case that it shows as an example counts as it was without: its answer is given away."""
        outcomes = self._outcomes(candidate, cases)
        shown = [case for case in candidate.examples if case in outcomes]
        outcomes |= self._outcomes(BASE, shown)
        return rank_of(outcomes, self.source(candidate))


def rank_of(outcomes: Mapping[int, EvalOutcome], source: PromptSource) -> Rank:
    """An answer without a verdict is worth nothing."""
    decided = [each for each in outcomes.values() if each.is_decided]
    scores = [each.score.score for each in decided if each.score is not None]
    return Rank(
        passes=sum(each.passed for each in decided),
        score=round(math.fsum(scores), DIGITS),
        shortness=-len(source.text),
    )
