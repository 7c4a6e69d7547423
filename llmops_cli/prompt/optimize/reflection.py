"""Instructions that a capable model writes, by gepa: from what failed, a better system message.

gepa (Agrawal et al. 2025, arXiv:2507.19457) decides which prompt is tried next and what the
proposer is shown; who answers, what counts and what may be spent is decided here as in any other
search. gepa's own loop is synchronous, so it runs in a thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from llmops_cli.core.errors import EngineFailed, EnvironmentMissing
from llmops_cli.core.progress import Progress
from llmops_cli.prompt.chats import chat_of, question_of
from llmops_cli.prompt.evals.outcome import EvalOutcome
from llmops_cli.prompt.optimize.candidate import (
    BASE,
    Candidate,
    base_messages,
    is_plain,
    system_text,
)
from llmops_cli.prompt.optimize.halving import minibatch_of, proposal_cost
from llmops_cli.prompt.optimize.plan import OptimizePlan
from llmops_cli.prompt.optimize.proposer import Proposer
from llmops_cli.prompt.optimize.recipe import OptimizeRecipe
from llmops_cli.prompt.optimize.search import End, Found, Tried
from llmops_cli.prompt.optimize.standing import Standing
from llmops_cli.runtime.chat import BudgetSpent
from llmops_cli.runtime.outcomes import StopReason

SYSTEM = "system"
"""The one part that is written: gepa's name of it."""
MOST_CHARS = 20_000
"""Of a system message: a longer one is paid for with every request from then on."""
IDLE_TURNS = 50
"""Of gepa without a proposal: all that it drew was right."""
NOT_PLAIN = "An instruction must be plain text: no template marks, not empty, 20,000 characters."
ResultT = TypeVar("ResultT")
Texts = dict[str, str]
Record = dict[str, str]


def require_gepa() -> None:
    """Raises: EnvironmentMissing."""
    try:
        import gepa  # noqa: F401
    except ImportError as error:
        raise EnvironmentMissing(
            "--proposer needs gepa", hint="pip install 'llmops-cli[optimize]'"
        ) from error


class ReflectiveSearch:
    """One search while it goes."""

    def __init__(
        self,
        recipe: OptimizeRecipe,
        plan: OptimizePlan,
        standing: Standing,
        proposer: Proposer,
        progress: Progress,
    ) -> None:
        self._recipe = recipe
        self._plan = plan
        self._standing = standing
        self._proposer = proposer
        self._progress = progress
        self._best = BASE
        self._seed = system_text(base_messages(plan.source))

    async def run(self) -> Found:
        """Raises: EngineFailed where no answer to the base has a verdict, or no proposal comes."""
        stopped = None
        tried: list[Tried] = []
        try:
            await self._standing.measure_base()
            end = End.PERFECT
            if not self._standing.is_perfect(BASE):
                adapter = await self._written()
                end = End.BUDGET
                tried = await self._chosen(adapter.candidates)
        except BudgetSpent as spent:
            end = End.CAPPED
            stopped = StopReason.of_cap(spent.cap)
        return Found(
            best=self._best,
            examples={},
            rounds=self._proposer.asked,
            tried=tried,
            end=end,
            stopped=stopped,
        )

    async def _written(self) -> _Adapter:
        """Every candidate that gepa wanted measured, with its answers."""
        loop = asyncio.get_running_loop()
        adapter = _Adapter(self._plan, self._standing, self._proposer, loop, seed=self._seed)
        self._progress.say(f"{self._recipe.proposer} writes instructions")
        try:
            await asyncio.to_thread(self._reflect, adapter)
        except asyncio.CancelledError:
            adapter.failed = EngineFailed("interrupted")
            raise
        if adapter.failed is not None:
            raise adapter.failed
        return adapter

    def _reflect(self, adapter: _Adapter) -> None:
        import gepa

        splits = self._plan.splits
        try:
            gepa.optimize(
                seed_candidate={SYSTEM: self._seed},
                trainset=list(splits.train),
                valset=list(splits.validation),
                adapter=adapter,
                reflection_lm=adapter.reflection,
                reflection_minibatch_size=minibatch_of(len(splits.train)),
                stop_callbacks=lambda _: self._is_over(adapter),
                logger=_Silent(),
                track_best_outputs=False,
                seed=self._recipe.seed,
            )
        except Exception as error:  # noqa: BLE001 - raised in the run's own loop
            adapter.failed = adapter.failed or error

    def _is_over(self, adapter: _Adapter) -> bool:
        """Asked before each of gepa's turns; one that found nothing wrong proposed nothing."""
        is_perfect = any(self._validates(each) for each in adapter.candidates)
        return (
            adapter.failed is not None
            or is_perfect
            or adapter.has_stalled(self._proposer.asked)
            or not self._can_propose()
        )

    def _validates(self, candidate: Candidate) -> bool:
        validation = self._plan.splits.validation
        return self._standing.rank(candidate, validation).passes == len(validation)

    def _can_propose(self) -> bool:
        sizes = self._plan.splits.sizes
        left = self._standing.calls_left(self._recipe.calls) - self._proposer.asked
        cost = proposal_cost(train=sizes["train"], validation=sizes["validation"])
        return left >= cost + sizes["train"]

    async def _chosen(self, candidates: Sequence[Candidate]) -> list[Tried]:
        """The best in validation is measured on all training cases, where anchors are too."""
        splits = self._plan.splits
        ranked = [each for each in candidates if self._has_all(each, splits.validation)]
        ranked.sort(key=lambda each: self._standing.rank(each, splits.validation), reverse=True)
        base = self._standing.rank(BASE, splits.validation)
        for winner in ranked[:1]:
            await self._standing.measure([winner], splits.train)
            is_better = self._standing.rank(winner, splits.train) > self._standing.rank(
                BASE, splits.train
            )
            is_ahead = self._standing.rank(winner, splits.validation)[:2] > base[:2]
            if (is_better or is_ahead) and self._standing.is_no_worse(winner, BASE):
                self._best = winner
        return [self._tried(number, each) for number, each in enumerate(candidates, 1)]

    def _has_all(self, candidate: Candidate, cases: Sequence[int]) -> bool:
        return len(self._standing.outcomes(candidate, cases)) == len(cases)

    def _tried(self, number: int, candidate: Candidate) -> Tried:
        splits = self._plan.splits
        trained = self._standing.outcomes(candidate, splits.train)
        passes = sum(each.passed for each in trained.values())
        validation_rate = None
        if self._has_all(candidate, splits.validation):
            passed = self._standing.rank(candidate, splits.validation).passes
            validation_rate = passed / len(splits.validation)
        return Tried(
            round=number,
            changes=candidate.changes,
            cases=len(trained),
            passes=passes,
            train_rate=passes / len(trained) if trained else 0.0,
            validation_rate=validation_rate,
            is_kept=candidate == self._best,
        )


class _Adapter:
    """What gepa calls from its thread; the work is done in the run's own loop."""

    propose_new_texts = None

    def __init__(
        self,
        plan: OptimizePlan,
        standing: Standing,
        proposer: Proposer,
        loop: asyncio.AbstractEventLoop,
        *,
        seed: str,
    ) -> None:
        self._plan = plan
        self._standing = standing
        self._proposer = proposer
        self._loop = loop
        self._seed = seed
        self._asked = -1
        self._idle_turns = 0
        self.candidates: list[Candidate] = []
        self.failed: Exception | None = None
        """What ended it; gepa would go on over some errors."""

    def has_stalled(self, asked: int) -> bool:
        """Whether many turns on end had nothing to mend, by how often the proposer was asked."""
        self._idle_turns = self._idle_turns + 1 if asked == self._asked else 0
        self._asked = asked
        return self._idle_turns > IDLE_TURNS

    def evaluate(
        self,
        batch: list[int],
        candidate: Texts,
        capture_traces: bool = False,  # noqa: FBT001, FBT002 - gepa's own signature
    ) -> Any:  # Any: an optional library's
        """Answers the cases with these numbers, as gepa's EvaluationBatch."""
        from gepa.core.adapter import EvaluationBatch

        records = self._records(batch, candidate)
        return EvaluationBatch(
            outputs=[record["Generated Outputs"] for record, _ in records],
            scores=[score for _, score in records],
            trajectories=[record for record, _ in records] if capture_traces else None,
        )

    def make_reflective_dataset(
        self,
        candidate: Texts,
        eval_batch: Any,  # Any: gepa's EvaluationBatch
        components_to_update: Sequence[str],
    ) -> dict[str, list[Record]]:
        return {SYSTEM: list(eval_batch.trajectories)}

    def reflection(self, prompt: Any) -> str:  # Any: a text, as no image is ever shown
        return self._done(self._proposer.say(str(prompt)))

    def _records(self, batch: Sequence[int], texts: Texts) -> list[tuple[Record, float]]:
        text = texts[SYSTEM]
        candidate = BASE
        if text != self._seed:
            candidate = Candidate(system=text)
            if not is_plain(text) or not text.strip() or len(text) > MOST_CHARS:
                return [(self._record(case, None), 0.0) for case in batch]
            if candidate not in self.candidates:
                self.candidates.append(candidate)
        self._done(self._standing.measure([candidate], batch))
        outcomes = self._standing.outcomes(candidate, batch)
        return [(self._record(case, outcomes[case]), _value(outcomes[case])) for case in batch]

    def _record(self, case: int, outcome: EvalOutcome | None) -> Record:
        question = question_of(chat_of(self._plan.source, self._plan.cases[case]))
        if outcome is None:
            return _shown(question, "", NOT_PLAIN)
        return _shown(question, outcome.answer, _feedback(outcome))

    def _done(self, work: Coroutine[Any, Any, ResultT]) -> ResultT:
        """Waits for it. An error is kept: gepa logs some of them and goes on."""
        if self.failed is not None:
            work.close()
            raise self.failed
        try:
            return asyncio.run_coroutine_threadsafe(work, self._loop).result()
        except Exception as error:
            self.failed = error
            raise


class _Silent:
    """gepa's log, whose lines are not for a terminal."""

    def log(self, message: str) -> None:
        """Leaves it out."""


def _shown(question: str, answer: str, feedback: str) -> Record:
    return {"Inputs": question, "Generated Outputs": answer, "Feedback": feedback}


def _value(outcome: EvalOutcome) -> float:
    """From 0 to 1: what passes is worth more than any that fails."""
    if outcome.score is None or not outcome.is_decided:
        return 0.0
    return (float(outcome.passed) + min(max(outcome.score.score, 0.0), 1.0)) / 2


def _feedback(outcome: EvalOutcome) -> str:
    if outcome.error:
        return f"No verdict: {outcome.error}"
    if outcome.passed or outcome.score is None:
        return "Right."
    return f"Wrong: {outcome.score.reason}"
