"""`llmops prompt eval`: every answer had, judged and written down as it ends.

A killed run goes on where it was; answers that failed are asked for again.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

from llmops_cli.core.counted import counted
from llmops_cli.core.errors import UsageError
from llmops_cli.core.progress import Progress
from llmops_cli.core.urls import server_url
from llmops_cli.prompt.evals.affordable import (
    caps_of,
    prices_of,
    require_affordable,
    require_prices,
)
from llmops_cli.prompt.evals.answering import USUAL_TOKENS, Answerer
from llmops_cli.prompt.evals.answers import answer_rows
from llmops_cli.prompt.evals.cells import cells_of, pairs_of
from llmops_cli.prompt.evals.comparing import compare_answers
from llmops_cli.prompt.evals.export import write_files
from llmops_cli.prompt.evals.judging import ClientJudge, Embedder
from llmops_cli.prompt.evals.outcome import EvalOutcome, EvalTask
from llmops_cli.prompt.evals.plan import EvalPlan, PlannedModel
from llmops_cli.prompt.evals.recipe import EvalRecipe
from llmops_cli.prompt.evals.report import EvalReport
from llmops_cli.prompt.evals.run_key import names_of, require_same, require_same_files
from llmops_cli.prompt.spending import SPENDING, KeptBudget, Spending, kept_lines
from llmops_cli.runtime.chat import (
    BudgetSpent,
    Cap,
    ChatCache,
    ChatClient,
    ChatEndpoint,
    ChatSettings,
    Spend,
    chat_endpoint,
    require_answer,
)
from llmops_cli.runtime.files import locked, to_json, write_atomic
from llmops_cli.runtime.http import Http
from llmops_cli.runtime.keys import api_key, bearer, target_key
from llmops_cli.runtime.manifest import RunClock
from llmops_cli.runtime.outcomes import OutcomesFile, StopReason, read_outcomes, work_off
from llmops_cli.runtime.runs import RunFolder
from llmops_cli.serving.measured import measurement_key
from llmops_cli.serving.start import RunningServer, started
from llmops_cli.serving.target import EngineTarget, check_target, prepare_target

OUTCOMES = "outcomes.jsonl"
RECIPE = "recipe.json"
JUDGE_SETTINGS = ChatSettings(max_tokens=1024, temperature=0.0)
STOPPED = {Cap.TOKENS: StopReason.TOKENS, Cap.MONEY: StopReason.MONEY}


def evaluate(
    recipe: EvalRecipe,
    origins: dict[str, str],
    *,
    plan: EvalPlan,
    folder: RunFolder,
    progress: Progress,
) -> EvalReport:
    """Has the answers that `folder` does not have yet, and writes its report.

    Raises: UsageError and EnvironmentMissing before anything is sent; EngineFailed if our engine
    ends, with what was done kept for --resume.
    """
    run = _Run(recipe, plan, folder, progress)
    run.require_endpoints()
    with locked(folder.path / "prompt-eval"):
        require_same(folder.path, plan)
        clock = RunClock()
        write_atomic(folder.path / RECIPE, to_json(recipe))
        run.have_all()
        found = read_outcomes(folder.path / OUTCOMES, EvalOutcome)
        cells = cells_of(plan, found.outcomes, run.models)
        judged_tokens = sum(each.judge_tokens for each in found.outcomes.values())
        report = EvalReport(
            manifest=clock.manifest(
                recipe,
                origins,
                versions=run.versions,
                seed=recipe.seed,
                digests=run.digests,
                complete=run.stopped is None,
            ),
            cells=cells,
            pairs=pairs_of(plan, found.outcomes, cells),
            cases=len(plan.cases),
            repeats=recipe.repeat,
            tasks=len(plan.tasks),
            left_out=[str(each) for each in plan.suite.left_out],
            notes=[str(each) for each in plan.notes],
            judge_tokens=run.judge_tokens + judged_tokens,
            stopped=run.stopped,
            unreadable_lines=found.unreadable,
            named_cases=names_of(plan.cases),
        )
        folder.write_report(report)
    return report


def write_exports(
    report: EvalReport,
    plan: EvalPlan,
    folder: RunFolder,
    *,
    junit: Path | None = None,
) -> None:
    """The page and the table of a finished run, from the answers in its folder."""
    found = read_outcomes(folder.path / OUTCOMES, EvalOutcome)
    models = list(dict.fromkeys(each.model for each in report.cells))
    rows = answer_rows(plan, found.outcomes, models)
    write_files(report, rows, folder.path, junit=junit)


class _Run:
    """One run while it goes."""

    def __init__(
        self,
        recipe: EvalRecipe,
        plan: EvalPlan,
        folder: RunFolder,
        progress: Progress,
    ) -> None:
        self._recipe = recipe
        self._plan = plan
        self._folder = folder
        self._progress = progress
        self._prices = prices_of(recipe)
        self._judge_endpoint = _judge_endpoint(recipe)
        self._embedder = _embedder(recipe)
        self.models = [each.name or "" for each in plan.models]
        self.versions: dict[str, str] = {}
        self.digests: dict[str, str] = {}
        self.judge_tokens = 0
        """Of what compares answers; other outcomes hold their own."""
        self.stopped: StopReason | None = None
        self._outcomes: dict[int, EvalOutcome] = {}

    def require_endpoints(self) -> None:
        """Raises: UsageError, EnvironmentMissing, before a folder is made."""
        recipe = self._recipe
        require_prices(recipe)
        require_affordable(recipe, self._plan)
        for model in self._plan.models:
            check_target(self._target(model))
        key = target_key(recipe.api_key_env, recipe.url)
        if recipe.url:
            require_answer(chat_endpoint(recipe.url, "", key=key))
        if self._judge_endpoint is not None:
            require_answer(self._judge_endpoint, field="judge_url")

    def _target(self, model: PlannedModel) -> EngineTarget:
        recipe = self._recipe
        return EngineTarget(
            backend=recipe.backend,
            model=model.name,
            url=recipe.url,
            options=recipe.options,
        )

    def have_all(self) -> None:
        """Model by model: an engine of ours serves one."""
        path = self._folder.path / OUTCOMES
        found = read_outcomes(path, EvalOutcome)
        if found.unreadable:
            self._progress.warn(f"{path}: {counted(found.unreadable, 'torn line')}, had again")
        self._outcomes = found.outcomes
        with ExitStack() as stack:
            file = stack.enter_context(OutcomesFile[EvalOutcome](path))
            place = self._folder.path / SPENDING
            spending = stack.enter_context(OutcomesFile[Spending](place))
            recorded = _recorded(found.outcomes.values())
            lines = kept_lines(place, spending, recorded=recorded, progress=self._progress)
            self._budget = KeptBudget(caps_of(self._recipe), lines=lines, file=spending)
            cache = None
            if self._recipe.cache:
                cache = stack.enter_context(ChatCache(Path(self._recipe.cache)))
            for number, model in enumerate(self._plan.models):
                if self.stopped is None:
                    self._have_model(number, model, file, cache)
            if self.stopped is None:
                self._compare(file)

    def _todo(self, number: int) -> list[EvalTask]:
        """Tasks of a model that nothing decided yet."""
        tasks = [task for task in self._plan.tasks if task.model == number]
        return [task for task in tasks if not self._is_decided(task.number)]

    def _is_decided(self, number: int) -> bool:
        outcome = self._outcomes.get(number)
        return outcome is not None and outcome.is_decided

    def _have_model(
        self,
        number: int,
        model: PlannedModel,
        file: OutcomesFile[EvalOutcome],
        cache: ChatCache | None,
    ) -> None:
        recipe = self._recipe
        key = target_key(recipe.api_key_env, recipe.url)
        prepared = prepare_target(self._target(model), progress=self._progress)
        with started(
            prepared,
            folder=self._folder,
            parallel=recipe.concurrency,
            progress=self._progress,
            http=Http(bearer(key)),
        ) as server:
            self.models[number] = model.name or server.model
            self.versions |= server.versions()
            self.digests |= prepared.digests()
            require_same_files(self._folder.path, self.models[number], prepared.digests())
            endpoint = ChatEndpoint(
                url=server.url,
                model=server.model,
                key=key,
                prices=self._prices,
                kept_under=measurement_key(prepared) or "",
            )
            try:
                self.stopped = asyncio.run(
                    self._have(self._todo(number), model, endpoint, server, file, cache)
                )
            except KeyboardInterrupt:
                self.stopped = StopReason.INTERRUPTED

    async def _have(
        self,
        tasks: Sequence[EvalTask],
        model: PlannedModel,
        endpoint: ChatEndpoint,
        server: RunningServer,
        file: OutcomesFile[EvalOutcome],
        cache: ChatCache | None,
    ) -> StopReason | None:
        stopped: list[StopReason] = []
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(
                ChatClient(endpoint, self._settings(), budget=self._budget, cache=cache)
            )
            client.tell_refusals(self._progress.warn)
            answerer = Answerer(
                self._recipe,
                self._plan,
                client,
                settings=model.settings,
                judge_client=await self._judge_client(stack, cache),
                embedder=self._embedder,
            )

            async def have(task: EvalTask) -> None:
                try:
                    outcome = await answerer.outcome(task)
                except BudgetSpent as spent:
                    stopped.append(STOPPED[spent.cap])
                    return
                if outcome.error:
                    server.check_alive()
                self._keep(outcome, file)

            await work_off(
                tasks,
                have,
                concurrency=self._recipe.concurrency,
                should_stop=lambda: stopped[0] if stopped else None,
            )
        return stopped[0] if stopped else None

    def _keep(self, outcome: EvalOutcome, file: OutcomesFile[EvalOutcome]) -> None:
        file.append(outcome)
        self._outcomes[outcome.number] = outcome
        self._progress.update("answers", len(self._outcomes), len(self._plan.tasks))

    def _settings(self) -> ChatSettings:
        recipe = self._recipe
        return ChatSettings(
            max_tokens=recipe.max_tokens or USUAL_TOKENS,
            seed=recipe.seed,
            timeout_s=recipe.timeout_s,
            retries=recipe.retries,
            rate=recipe.rate,
            concurrency=recipe.concurrency,
        )

    async def _judge_client(
        self,
        stack: AsyncExitStack,
        cache: ChatCache | None,
    ) -> ChatClient | None:
        if self._judge_endpoint is None:
            return None
        client = ChatClient(self._judge_endpoint, JUDGE_SETTINGS, cache=cache)
        return await stack.enter_async_context(client)

    def _compare(self, file: OutcomesFile[EvalOutcome]) -> None:
        async def compare() -> None:
            async with AsyncExitStack() as stack:
                client = await self._judge_client(stack, None)
                judge = ClientJudge(client, self._embedder)
                changed = await compare_answers(self._plan, self._outcomes, judge)
                self.judge_tokens += judge.tokens
            for outcome in changed.values():
                self._keep(outcome, file)

        try:
            asyncio.run(compare())
        except KeyboardInterrupt:
            self.stopped = StopReason.INTERRUPTED


def _recorded(outcomes: Iterable[EvalOutcome]) -> Spend:
    """By the answers alone, which know no retries and no request that failed."""
    paid = [each for each in outcomes if not each.is_cached]
    return Spend(
        requests=len(paid),
        tokens=sum(each.input_tokens + each.output_tokens for each in paid),
        money=math.fsum(each.cost or 0.0 for each in paid),
    )


def _judge_endpoint(recipe: EvalRecipe) -> ChatEndpoint | None:
    if not recipe.judge_url:
        return None
    if not recipe.judge_model:
        raise UsageError("--judge-url needs a model's name", hint="--judge-model NAME")
    key = api_key(recipe.judge_key_env)
    return chat_endpoint(recipe.judge_url, recipe.judge_model, key=key, field="judge_url")


def _embedder(recipe: EvalRecipe) -> Embedder | None:
    """Its own endpoint, or the judge's with the judge's key."""
    if not recipe.embedding_model:
        return None
    if recipe.embedding_url:
        url = server_url(recipe.embedding_url, field="embedding_url")
        key = api_key(recipe.embedding_key_env)
    elif recipe.judge_url:
        url = server_url(recipe.judge_url, field="judge_url")
        key = api_key(recipe.judge_key_env)
    else:
        raise UsageError("--embedding-model is a model at --embedding-url", hint="give both")
    return Embedder(url=url, model=recipe.embedding_model, http=Http(bearer(key)))
