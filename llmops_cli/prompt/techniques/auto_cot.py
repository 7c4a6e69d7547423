"""Chain of thought by examples that the model writes itself, one a kind of question.

Questions are put into clusters; of each the one nearest its middle whose steps are short and whose
answer can be read strictly becomes an example. Nobody says whether it is right.
Source: Zhang et al., arXiv:2210.03493.
"""

from __future__ import annotations

from collections.abc import Sequence

from llmops_cli.core.errors import UsageError
from llmops_cli.prompt.answers.form import read_answer
from llmops_cli.prompt.clusters import ordered_clusters
from llmops_cli.prompt.techniques.asking import STEP_BY_STEP, asked
from llmops_cli.prompt.techniques.technique import Ask, Example, Solution, TechniqueSettings
from llmops_cli.runtime.chat import BudgetSpent, Filtered, Unanswered

MOST_STEPS = 12
"""Lines of an example. The paper's 5 are for its own questions."""
MOST_QUESTION_CHARS = 400
TRIES = 4
"""Questions of a cluster that are asked before it goes without an example."""


class AutoChainOfThought:
    """One call a question, and a few before the first. Raises: UsageError without questions."""

    def __init__(self, settings: TechniqueSettings) -> None:
        if not settings.pool:
            raise UsageError(
                "auto-cot needs questions to learn from", hint="--cases or --pool FILE"
            )
        self._settings = settings
        self._examples: Sequence[Example] = ()

    async def prepare(self, ask: Ask) -> Sequence[Example]:
        settings = self._settings
        pool = [each for each in settings.pool if len(each) <= MOST_QUESTION_CHARS]
        short = list(dict.fromkeys(pool))
        vectors = await settings.embed(short) if settings.embed and short else None
        found = []
        clusters = ordered_clusters(short, settings.shots, seed=settings.seed, vectors=vectors)
        for cluster in clusters:
            example = await self._example(cluster[:TRIES], ask)
            if example is not None:
                found.append(example)
        self._examples = found
        return found

    async def _example(self, questions: Sequence[str], ask: Ask) -> Example | None:
        """Of the first question whose answer will do."""
        for question in questions:
            try:
                said = await ask(asked(self._settings, question, instruction=STEP_BY_STEP))
            except BudgetSpent:
                raise
            except (Unanswered, Filtered):
                continue
            answer = read_answer(self._settings.form, said.text).strict
            *steps, _ = said.text.strip().split("\n")
            if answer is not None and steps and len(steps) <= MOST_STEPS and not said.is_cut:
                return Example(question=question, answer=answer, reasoning="\n".join(steps))
        return None

    async def solve(self, question: str, ask: Ask) -> Solution:
        others = [example for example in self._examples if example.question != question]
        messages = asked(self._settings, question, instruction=STEP_BY_STEP, examples=others)
        said = await ask(messages)
        return Solution(reading=read_answer(self._settings.form, said.text), text=said.text)
