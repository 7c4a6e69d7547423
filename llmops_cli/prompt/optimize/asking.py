"""Answers of candidates to cases: those that a run has already, and the others asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from llmops_cli.prompt.case_file.suite import PromptSource
from llmops_cli.prompt.evals.answering import Answerer
from llmops_cli.prompt.evals.outcome import EvalOutcome, EvalTask
from llmops_cli.prompt.optimize.plan import OptimizePlan
from llmops_cli.prompt.optimize.recipe import OptimizeRecipe
from llmops_cli.runtime.chat import BudgetSpent, ChatClient
from llmops_cli.runtime.digests import digest_number
from llmops_cli.runtime.outcomes import StopReason, work_off


def number_of(source: PromptSource, case: int) -> int:
    """The same in every run for the same prompt and case."""
    return digest_number([source.text, case])


class Answers:
    """What is known of any prompt. `keep` writes an outcome down."""

    def __init__(
        self,
        outcomes: Mapping[int, EvalOutcome],
        keep: Callable[[EvalOutcome], None],
    ) -> None:
        self._outcomes = dict(outcomes)
        self._keep = keep
        self.counted: set[int] = set()
        """Numbers of what this run needed, had before or not: the same after a kill."""

    def of(self, source: PromptSource, cases: Sequence[int]) -> dict[int, EvalOutcome]:
        """By the case's number; without those that are not there."""
        found = {}
        for case in cases:
            outcome = self._outcomes.get(number_of(source, case))
            if outcome is not None:
                found[case] = outcome
        return found

    def missing(self, source: PromptSource, cases: Sequence[int]) -> list[EvalTask]:
        """Tasks that nothing decided; one that failed in this run is not asked again."""
        tasks = []
        for case in cases:
            number = number_of(source, case)
            outcome = self._outcomes.get(number)
            is_done = outcome is not None and (outcome.is_decided or number in self.counted)
            if not is_done:
                tasks.append(EvalTask(number=number, model=0, prompt=0, case=case, repeat=0))
        return tasks

    def count(self, source: PromptSource, cases: Sequence[int]) -> None:
        self.counted |= {number_of(source, case) for case in cases}

    def add(self, outcome: EvalOutcome) -> None:
        self._keep(outcome)
        self._outcomes[outcome.number] = outcome


class Asker:
    """Of one client, so of one budget. `check_alive` raises if our engine ended."""

    def __init__(
        self,
        recipe: OptimizeRecipe,
        plan: OptimizePlan,
        client: ChatClient,
        answers: Answers,
        *,
        check_alive: Callable[[], None],
    ) -> None:
        self._recipe = recipe
        self._plan = plan
        self._client = client
        self._check_alive = check_alive
        self.answers = answers

    async def have(self, sources: Sequence[PromptSource], cases: Sequence[int]) -> None:
        """All of them to all cases. Raises: BudgetSpent, with what came before kept."""
        work = []
        for source in sources:
            answerer = self._answerer(source)
            work += [(answerer, task) for task in self.answers.missing(source, cases)]
        spent: list[BudgetSpent] = []

        async def have(item: tuple[Answerer, EvalTask]) -> None:
            answerer, task = item
            try:
                outcome = await answerer.outcome(task)
            except BudgetSpent as error:
                spent.append(error)
                return
            if outcome.error:
                self._check_alive()
            self.answers.add(outcome)

        await work_off(
            work,
            have,
            concurrency=self._recipe.concurrency,
            should_stop=lambda: StopReason.of_cap(spent[0].cap) if spent else None,
        )
        if spent:
            raise spent[0]
        for source in sources:
            self.answers.count(source, cases)

    def _answerer(self, source: PromptSource) -> Answerer:
        return Answerer(
            self._recipe.as_eval(),
            msgspec.structs.replace(self._plan.evaluation, prompts=(source,)),
            self._client,
            settings=self._plan.model.settings,
            judge_client=None,
            embedder=None,
        )
