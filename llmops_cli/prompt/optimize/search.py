"""Hill climbing by rounds of successive halving; no capable model is needed for it.

Everything here follows from the seed and the answers, so a run that was killed takes the same way
again, through the answers that it has.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from enum import StrEnum

import msgspec

from llmops_cli.core.progress import Progress
from llmops_cli.prompt.optimize.candidate import BASE, Candidate, Example
from llmops_cli.prompt.optimize.halving import rungs, width_for
from llmops_cli.prompt.optimize.plan import OptimizePlan
from llmops_cli.prompt.optimize.proposals import Space, neighbours
from llmops_cli.prompt.optimize.recipe import OptimizeRecipe
from llmops_cli.prompt.optimize.stages import Stages
from llmops_cli.prompt.optimize.standing import Standing
from llmops_cli.runtime.chat import BudgetSpent
from llmops_cli.runtime.outcomes import StopReason


class End(StrEnum):
    """Why the search ended; reports hold the text."""

    BUDGET = "its share of the budget is used"
    PERFECT = "every training and validation case passes"
    NO_MORE = "there is nothing left to propose"
    CAPPED = "a cap was reached before"


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
        standing: Standing,
        progress: Progress,
        *,
        stages: Stages,
    ) -> None:
        self._recipe = recipe
        self._plan = plan
        self._standing = standing
        self._stages = stages
        self._stage = 0
        self._progress = progress
        self._best = BASE
        self._seen: set[Candidate] = {BASE}
        self._tried: list[Tried] = []
        self._rounds = 0

    async def run(self) -> Found:
        """Raises: EngineFailed where no answer to the base has a verdict."""
        stopped = None
        try:
            await self._standing.measure_base()
            end = await self._climb_all()
        except BudgetSpent as spent:
            end = End.CAPPED
            stopped = StopReason.of_cap(spent.cap)
        return Found(
            best=self._best,
            examples=self._standing.examples,
            rounds=self._rounds,
            tried=self._tried,
            end=end,
            stopped=stopped,
        )

    async def _climb_all(self) -> End:
        """Budget after budget, so that a larger one begins where the one before it ended."""
        end = End.BUDGET
        for stage in range(len(self._stages.budgets)):
            self._stage = stage
            end = await self._climb()
            if end is not End.BUDGET:
                break
        return end

    async def _climb(self) -> End:
        splits = self._plan.splits
        while True:
            if self._standing.is_perfect(self._best):
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
        budget = self._stages.budgets[self._stage]
        tested = len(self._stages.tested_before(self._stage))
        return self._standing.calls_left(budget, tested=tested)

    def _proposals(self) -> list[Candidate]:
        space = Space(
            wordings=tuple(self._plan.wordings),
            examples=tuple(self._standing.examples),
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
            await self._standing.measure(alive, part)
            alive.sort(key=lambda each: self._standing.rank(each, part), reverse=True)
            keeps = len(alive) if size == len(train) else -(-len(alive) // 2)
            self._drop(alive[keeps:], part)
            alive = alive[:keeps]
        self._drop(alive[1:], train)
        await self._challenge(alive[0])
        passes = self._standing.rank(self._best, train).passes
        self._progress.say(
            f"round {self._rounds}: {len(proposals)} proposals, best now {passes} of {len(train)} "
            f"in training, {self._left()} calls left for more"
        )

    async def _challenge(self, winner: Candidate) -> None:
        """It takes the best's place if it is better in training, and no worse in validation."""
        splits = self._plan.splits
        rank = self._standing.rank(winner, splits.train)
        if rank <= self._standing.rank(self._best, splits.train):
            self._drop([winner], splits.train)
            return
        await self._standing.measure([winner], splits.validation)
        validated = self._standing.rank(winner, splits.validation)
        is_kept = self._standing.is_no_worse(winner, self._best)
        tried = self._tried_of(winner, splits.train)
        validation_rate = validated.passes / len(splits.validation)
        tried = msgspec.structs.replace(tried, validation_rate=validation_rate, is_kept=is_kept)
        self._tried.append(tried)
        if is_kept:
            self._best = winner

    def _drop(self, candidates: Sequence[Candidate], cases: Sequence[int]) -> None:
        self._tried += [self._tried_of(each, cases) for each in candidates]

    def _tried_of(self, candidate: Candidate, cases: Sequence[int]) -> Tried:
        passes = self._standing.rank(candidate, cases).passes
        return Tried(
            round=self._rounds,
            changes=candidate.changes,
            cases=len(cases),
            passes=passes,
            train_rate=passes / len(cases),
        )
