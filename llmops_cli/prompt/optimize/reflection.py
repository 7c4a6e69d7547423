"""Instructions that a capable model writes, by gepa: from what failed, a better system message.

gepa (Agrawal et al. 2025, arXiv:2507.19457) decides which prompt is tried next and what the
proposer is shown; who answers, what counts and what may be spent is decided here as in any other
search. gepa's own loop is synchronous, so it runs in a thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
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
from llmops_cli.prompt.optimize.proposer import NoProposal, Proposer
from llmops_cli.prompt.optimize.recipe import OptimizeRecipe
from llmops_cli.prompt.optimize.search import End, Found, Tried
from llmops_cli.prompt.optimize.standing import Rank, Standing
from llmops_cli.runtime.chat import BudgetSpent
from llmops_cli.runtime.outcomes import StopReason

SYSTEM = "system"
"""The one part that is written: gepa's name of it."""
MOST_CHARS = 20_000
"""Of a system message: a longer one is paid for with every request from then on."""
IDLE_TURNS = 50
"""Of gepa without a proposal: all that it drew was right."""
FAILURES_MOST = 6
"""Of the proposer on end; gepa asks each question twice."""
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
        *,
        left: Callable[[], int],
        tested: int,
    ) -> None:
        """`left`: requests that the budget still allows, retries and lost ones counted.

        `tested`: prompts that were tested at the end of earlier budgets.
        """
        self._recipe = recipe
        self._plan = plan
        self._standing = standing
        self._proposer = proposer
        self._progress = progress
        self._left = left
        self._tested = tested
        self._best = BASE
        self._seed = system_text(base_messages(plan.source))
        self._end = End.BUDGET
        self._stopped: StopReason | None = None

    async def run(self) -> Found:
        """Raises: EngineFailed where no answer to the base has a verdict, or no proposal comes."""
        tried: list[Tried] = []
        try:
            await self._standing.measure_base()
        except BudgetSpent as spent:
            self._stop(spent)
        else:
            tried = await self._searched()
        return Found(
            best=self._best,
            examples={},
            rounds=self._proposer.asked,
            tried=tried,
            end=self._end,
            stopped=self._stopped,
        )

    async def _searched(self) -> list[Tried]:
        if self._standing.is_perfect(BASE):
            self._end = End.PERFECT
            return []
        loop = asyncio.get_running_loop()
        adapter = _Adapter(self._plan, self._standing, self._proposer, loop, seed=self._seed)
        self._progress.say(f"{self._recipe.proposer} writes instructions")
        try:
            await asyncio.to_thread(self._reflect, adapter)
        except asyncio.CancelledError:
            adapter.failed = EngineFailed("interrupted")
            raise
        self._judge(adapter)
        try:
            await self._choose(adapter.candidates)
        except BudgetSpent as spent:
            self._stop(spent)
        return [self._tried(number, each) for number, each in enumerate(adapter.candidates, 1)]

    def _stop(self, spent: BudgetSpent) -> None:
        self._end = End.CAPPED
        self._stopped = StopReason.of_cap(spent.cap)

    def _judge(self, adapter: _Adapter) -> None:
        """Why gepa ended. Raises: what is not about the budget or one proposal."""
        failed = adapter.failed
        if isinstance(failed, BudgetSpent):
            self._stop(failed)
        elif isinstance(failed, NoProposal) and adapter.candidates:
            self._end = End.NO_MORE
            self._progress.warn(f"the proposer gave no more answers: {failed.reason}")
        elif isinstance(failed, NoProposal):
            raise EngineFailed(
                f"the proposer gave no answer: {failed.reason}",
                hint="check --proposer and --proposer-url; --resume asks again",
            )
        elif failed is not None:
            raise failed

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
        if adapter.failed is not None or not self._can_propose():
            return True
        if adapter.has_stalled(self._proposer.asked):
            self._end = End.NO_MORE
            return True
        for candidate in adapter.candidates:
            if self._is_validated(candidate):
                adapter.train(candidate)
                if self._standing.is_perfect(candidate):
                    self._end = End.PERFECT
                    return True
        return not self._can_propose()

    def _is_validated(self, candidate: Candidate) -> bool:
        validation = self._plan.splits.validation
        return self._standing.rank(candidate, validation).passes == len(validation)

    def _can_propose(self) -> bool:
        sizes = self._plan.splits.sizes
        left = self._standing.calls_left(self._recipe.calls, tested=self._tested)
        needed = left - self._proposer.asked
        cost = proposal_cost(train=sizes["train"], validation=sizes["validation"])
        return min(needed, self._left()) >= cost + sizes["train"]

    async def _choose(self, candidates: Sequence[Candidate]) -> None:
        """The first, by validation, that is better than the base on all that a search sees."""
        splits = self._plan.splits
        validated = [each for each in candidates if self._has_all(each, splits.validation)]
        validated.sort(key=self._rank, reverse=True)
        for candidate in validated:
            if not self._standing.is_no_worse_in_validation(candidate, BASE):
                return
            await self._standing.measure([candidate], splits.train)
            if self._is_better(candidate) and self._standing.is_no_worse(candidate, BASE):
                self._best = candidate
                return

    def _rank(self, candidate: Candidate) -> tuple[Rank, Rank]:
        splits = self._plan.splits
        return (
            self._standing.rank(candidate, splits.validation),
            self._standing.rank(candidate, splits.train),
        )

    def _is_better(self, candidate: Candidate) -> bool:
        return any(
            mine[:2] > theirs[:2]
            for mine, theirs in zip(self._rank(candidate), self._rank(BASE), strict=True)
        )

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
        self._failures = 0
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
        """Some may fail, as one whose examples are too long: gepa goes on with others."""
        try:
            text = self._done(self._proposer.say(str(prompt)))
        except NoProposal as failed:
            self._failures += 1
            if self._failures >= FAILURES_MOST:
                self.failed = failed
            raise
        self._failures = 0
        return text

    def train(self, candidate: Candidate) -> None:
        """Has what it is missing of the training cases."""
        with suppress(Exception):  # kept in `failed`
            self._done(self._standing.measure([candidate], self._plan.splits.train))

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
        except NoProposal:
            raise
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
    """What passes is perfect; what fails is worth half of its score at most."""
    if outcome.score is None or not outcome.is_decided:
        return 0.0
    return 1.0 if outcome.passed else min(max(outcome.score.score, 0.0), 1.0) / 2


def _feedback(outcome: EvalOutcome) -> str:
    if outcome.error:
        return f"No verdict: {outcome.error}"
    if outcome.passed or outcome.score is None:
        return "Right."
    return f"Wrong: {outcome.score.reason}"
