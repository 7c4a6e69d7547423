"""One part of a run: from its start until it ends, is stopped, or is killed.

Finished questions are kept, and each answer of one that was under way is too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec

from llmops_cli.core.counted import counted
from llmops_cli.core.progress import Progress
from llmops_cli.prompt.spending import SPENDING, KeptBudget, Spending, kept_lines
from llmops_cli.prompt.technique_run.asker import AskSettings, QuestionAsker, Usage
from llmops_cli.prompt.technique_run.kept import ANSWERS, CALLS, OUTCOMES, recorded_spend
from llmops_cli.prompt.technique_run.outcome import QuestionOutcome, Task, outcome_of
from llmops_cli.prompt.technique_run.plan import Plan
from llmops_cli.prompt.technique_run.recipe import PromptRunRecipe
from llmops_cli.prompt.techniques.technique import Spent, Technique
from llmops_cli.runtime.chat import (
    BudgetSpent,
    ChatCache,
    ChatCaps,
    ChatClient,
    ChatEndpoint,
    ChatRecording,
    ChatSettings,
)
from llmops_cli.runtime.outcomes import OutcomesFile, StopReason, read_outcomes, work_off
from llmops_cli.serving.measured import measurement_key
from llmops_cli.serving.start import RunningServer


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """What a technique did before its first question."""

    usage: Usage
    examples_made: int = 0


class RunPart:
    """Asks what the folder does not have; `prepared` is by technique, once `all` has returned."""

    def __init__(
        self,
        recipe: PromptRunRecipe,
        plan: Plan,
        server: RunningServer,
        folder: Path,
        progress: Progress,
    ) -> None:
        self._recipe = recipe
        self._plan = plan
        self._server = server
        self._folder = folder
        self._progress = progress
        self._stopped: StopReason | None = None
        self._written = 0
        self.prepared: dict[str, Prepared] = {}

    def all(self) -> StopReason | None:
        """Why it stopped early, if it did."""
        with OutcomesFile[QuestionOutcome](self._folder / OUTCOMES) as self._file:
            try:
                return asyncio.run(self._all())
            except KeyboardInterrupt:
                return StopReason.INTERRUPTED

    async def _all(self) -> StopReason | None:
        found = read_outcomes(self._folder / OUTCOMES, QuestionOutcome)
        if found.unreadable:
            self._progress.warn(f"{counted(found.unreadable, 'torn line')}, asked again")
        done = {number for number, outcome in found.outcomes.items() if not outcome.error}
        self._written = len(done)
        async with AsyncExitStack() as stack:
            await self._open(stack)
            for name, technique in self._plan.techniques.items():
                todo = [task for task in self._plan.tasks(name) if task.number not in done]
                await self._by(name, technique, todo)
                if self._stopped is not None:
                    return self._stopped
        return None

    async def _by(self, name: str, technique: Technique, todo: Sequence[Task]) -> None:
        """One technique. Its preparation comes again in each part, by answers that are kept."""
        asker = self._asker()
        try:
            made = await technique.prepare(asker)
        except BudgetSpent as spent:
            self._stop(spent)
            return
        except Spent:
            made = ()
        self.prepared[name] = Prepared(usage=asker.usage, examples_made=len(made))

        async def do(task: Task) -> None:
            try:
                outcome = await outcome_of(task, technique, self._asker(), self._plan.form)
            except BudgetSpent as spent:
                self._stop(spent)
                return
            if outcome.error:
                self._server.check_alive()
            self._keep(outcome)

        await work_off(
            todo,
            do,
            concurrency=self._recipe.concurrency,
            should_stop=lambda: self._stopped,
        )

    def _keep(self, outcome: QuestionOutcome) -> None:
        self._file.append(outcome)
        self._written += 1
        total = len(self._plan.techniques) * len(self._plan.cases)
        self._progress.update("questions", self._written, total)

    def _stop(self, spent: BudgetSpent) -> None:
        self._stopped = StopReason.of_cap(spent.cap)

    def _asker(self) -> QuestionAsker:
        recipe = self._recipe
        limits = AskSettings(calls=recipe.calls_each, compress=recipe.compress)
        return QuestionAsker(self._model, self._evaluator, limits)

    async def _open(self, stack: AsyncExitStack) -> None:
        """The clients, which share a budget and the answers that are kept."""
        recipe = self._recipe
        caps = ChatCaps(requests=recipe.max_calls, money=recipe.max_cost)
        place = self._folder / SPENDING
        spending = stack.enter_context(OutcomesFile[Spending](place))
        recorded = recorded_spend(self._folder, self._plan.prices)
        lines = kept_lines(place, spending, recorded=recorded, progress=self._progress)
        budget = KeptBudget(caps, lines=lines, file=spending)
        cache = stack.enter_context(ChatCache(self._folder / ANSWERS))
        recording = stack.enter_context(ChatRecording(self._folder / CALLS))

        async def client(endpoint: ChatEndpoint) -> ChatClient:
            made = ChatClient(
                endpoint, _settings(recipe), budget=budget, cache=cache, recording=recording
            )
            made.tell_refusals(self._progress.warn)
            return await stack.enter_async_context(made)

        self._model = await client(self._endpoint())
        self._evaluator = self._model
        if self._plan.evaluator is not None:
            self._evaluator = await client(self._plan.evaluator)

    def _endpoint(self) -> ChatEndpoint:
        """The key is for a server that the user named; an engine of ours has none."""
        server = self._server
        return ChatEndpoint(
            url=server.url,
            model=server.model,
            key=self._plan.key if server.prepared.is_remote else "",
            dialect=self._recipe.dialect,
            prices=self._plan.prices,
            kept_under=measurement_key(server.prepared) or "",
        )


def _settings(recipe: PromptRunRecipe) -> ChatSettings:
    return ChatSettings(
        max_tokens=recipe.max_tokens,
        temperature=recipe.temperature,
        seed=recipe.seed,
        timeout_s=recipe.timeout_s,
        retries=recipe.retries,
        rate=recipe.rate,
        concurrency=recipe.concurrency,
    )
