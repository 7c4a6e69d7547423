"""`llmops prompt optimize`: the search, then the test on what it never saw, within one budget.

The search may spend what the test does not need. A killed run goes on where it was: answers and
what was spent are written down as they come.
"""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from pathlib import Path

import msgspec

from llmops_cli.core.counted import counted
from llmops_cli.core.prices import Prices
from llmops_cli.core.progress import Progress
from llmops_cli.prompt.case_file.suite import PromptSource
from llmops_cli.prompt.evals.affordable import require_affordable, require_prices
from llmops_cli.prompt.evals.answering import USUAL_TOKENS
from llmops_cli.prompt.evals.outcome import EvalOutcome
from llmops_cli.prompt.evals.run import OUTCOMES, RECIPE
from llmops_cli.prompt.evals.run_key import require_same, require_same_files
from llmops_cli.prompt.optimize.asking import Answers, Asker
from llmops_cli.prompt.optimize.candidate import BASE
from llmops_cli.prompt.optimize.export import write_result
from llmops_cli.prompt.optimize.plan import OptimizePlan, forecast_line
from llmops_cli.prompt.optimize.proposer import Proposer, Reflection
from llmops_cli.prompt.optimize.recipe import OptimizeRecipe
from llmops_cli.prompt.optimize.report import OptimizeReport
from llmops_cli.prompt.optimize.results import Tested
from llmops_cli.prompt.optimize.search import End, Found, Search
from llmops_cli.prompt.optimize.stages import Stages, stages_of
from llmops_cli.prompt.optimize.standing import Standing
from llmops_cli.prompt.spending import SPENDING, KeptBudget, Spending, spent_of
from llmops_cli.runtime.chat import (
    BudgetSpent,
    ChatCaps,
    ChatClient,
    ChatEndpoint,
    ChatSettings,
    chat_endpoint,
    require_answer,
)
from llmops_cli.runtime.files import locked, to_json, write_atomic
from llmops_cli.runtime.http import Http
from llmops_cli.runtime.keys import api_key, bearer, target_key
from llmops_cli.runtime.manifest import RunClock
from llmops_cli.runtime.outcomes import OutcomesFile, StopReason, read_outcomes
from llmops_cli.runtime.runs import REPORT, RunFolder, load_report
from llmops_cli.serving.start import RunningServer, started
from llmops_cli.serving.target import EngineTarget, check_target, prepare_target

REFLECTIONS = "reflections.jsonl"
NOTHING_FOUND = Found(best=BASE, examples={}, rounds=0, tried=[], end=End.CAPPED)


def optimize(
    recipe: OptimizeRecipe,
    origins: dict[str, str],
    *,
    plan: OptimizePlan,
    folder: RunFolder,
    progress: Progress,
) -> OptimizeReport:
    """Searches, tests, writes the result and the report into `folder`.

    Raises: UsageError and EnvironmentMissing before anything is sent; EngineFailed if nothing has
    a verdict or our engine ends, with what was done kept for --resume. A prompt that is accepted is
    told again: with more tokens or money another one could take its place.
    """
    run = _Run(recipe, plan, folder, progress)
    run.require_endpoint()
    progress.say(forecast_line(recipe, plan))
    if recipe.money_budget and not run.prices.are_given:
        progress.say("the model's own tokens are free: it has no --price-in and --price-out")
    with locked(folder.path / "prompt-optimize"):
        require_same(folder.path, plan.evaluation)
        stages = stages_of(folder.path, recipe.calls)
        if stages.is_accepted:
            told = _accepted(folder.path)
            if told is not None:
                progress.say(f"{folder.path} has its prompt, which is accepted: nothing is asked")
                return told
        clock = RunClock()
        write_atomic(folder.path / RECIPE, to_json(recipe))
        run.go(stages)
        report = run.report(clock, origins)
        folder.write_report(report)
    return report


def _accepted(folder: Path) -> OptimizeReport | None:
    """The report of a search that has its prompt; None if it was killed before it wrote it."""
    if not (folder / REPORT).is_file():
        return None
    report = load_report(folder)
    return report if isinstance(report, OptimizeReport) and report.accepted else None


class _Run:
    """One run while it goes."""

    def __init__(
        self,
        recipe: OptimizeRecipe,
        plan: OptimizePlan,
        folder: RunFolder,
        progress: Progress,
    ) -> None:
        self._recipe = recipe
        self._plan = plan
        self._folder = folder
        self._progress = progress
        self.prices = Prices(input=recipe.price_in, output=recipe.price_out)
        self._endpoint: ChatEndpoint | None = None
        self._proposer_endpoint: ChatEndpoint | None = None
        self._answers = Answers({}, lambda _: None)
        self._lines: dict[int, Spending] = {}
        self._stages = Stages([])
        self._found = NOTHING_FOUND
        self._best: PromptSource = plan.source
        self._is_tested = False
        self._stopped: StopReason | None = None
        self._versions: dict[str, str] = {}
        self._digests: dict[str, str] = {}
        self._unreadable = 0

    def require_endpoint(self) -> None:
        """Raises: UsageError, EnvironmentMissing, before a folder is made."""
        recipe = self._recipe
        if not recipe.proposer_is_paid:
            require_prices(recipe.as_eval())
        require_affordable(recipe.as_eval(), self._plan.evaluation)
        check_target(self._target())
        self._proposer_endpoint = _proposer_endpoint(recipe)
        key = target_key(recipe.api_key_env, recipe.url)
        if recipe.url:
            require_answer(chat_endpoint(recipe.url, "", key=key))
        if self._proposer_endpoint is not None:
            require_answer(self._proposer_endpoint, field="proposer_url")

    def _target(self) -> EngineTarget:
        recipe = self._recipe
        return EngineTarget(
            backend=recipe.backend,
            model=self._plan.model.name,
            url=recipe.url,
            options=recipe.options,
        )

    def go(self, stages: Stages) -> None:
        """Both phases, from what the folder has; the last stage is this one."""
        place = self._folder.path
        self._stages = stages
        stages.write(place)
        recipe = self._recipe
        key = target_key(recipe.api_key_env, recipe.url)
        prepared = prepare_target(self._target(), progress=self._progress)
        require_same_files(place, self._plan.model.name or "", prepared.digests())
        with ExitStack() as stack:
            outcomes = stack.enter_context(OutcomesFile[EvalOutcome](place / OUTCOMES))
            spending = stack.enter_context(OutcomesFile[Spending](place / SPENDING))
            self._read(place, outcomes)
            server = stack.enter_context(
                started(
                    prepared,
                    folder=self._folder,
                    parallel=recipe.concurrency,
                    progress=self._progress,
                    http=Http(bearer(key)),
                )
            )
            self._versions = server.versions()
            self._digests = prepared.digests()
            self._endpoint = ChatEndpoint(
                url=server.url, model=server.model, key=key, prices=self.prices
            )
            try:
                asyncio.run(self._phases(server, self._endpoint, spending))
            except KeyboardInterrupt:
                self._stopped = StopReason.INTERRUPTED
        if self._stopped is not StopReason.INTERRUPTED:
            self._end_stage()
            write_result(
                place,
                self._tested().kept,
                recipe=recipe,
                plan=self._plan,
                endpoint=self._endpoint,
            )

    def _end_stage(self) -> None:
        """What was tested is written down before anybody sees its result."""
        tested = self._tested()
        if tested.paired() is not None:
            self._stages = self._stages.with_tested(self._best, is_accepted=tested.is_accepted)
            self._stages.write(self._folder.path)

    def _read(self, place: Path, file: OutcomesFile[EvalOutcome]) -> None:
        """Behind the opened files, which have ended what a kill tore."""
        found = read_outcomes(place / OUTCOMES, EvalOutcome)
        spent = read_outcomes(place / SPENDING, Spending)
        self._unreadable = found.unreadable + spent.unreadable
        if self._unreadable:
            self._progress.warn(f"{place}: {counted(self._unreadable, 'torn line')}, had again")
        self._answers = Answers(found.outcomes, file.append)
        self._lines = spent.outcomes

    async def _phases(
        self,
        server: RunningServer,
        endpoint: ChatEndpoint,
        spending: OutcomesFile[Spending],
    ) -> None:
        searching = self._budget(self._search_caps(), spending)
        async with ChatClient(endpoint, self._settings(), budget=searching) as client:
            client.tell_refusals(self._progress.warn)
            standing = Standing(self._plan, self._asker(client, server))
            self._found = await self._search(standing, searching)
            self._best = standing.source(self._found.best)
        self._stopped = self._found.stopped
        testing = self._budget(self._caps(), spending)
        async with ChatClient(endpoint, self._settings(), budget=testing) as client:
            await self._test(self._asker(client, server))

    def _budget(self, caps: ChatCaps, file: OutcomesFile[Spending]) -> KeptBudget:
        """Either model may be free beside one that is paid."""
        return KeptBudget(caps, lines=self._lines, file=file, some_are_free=True)

    async def _search(self, standing: Standing, budget: KeptBudget) -> Found:
        """By neighbours, or by what a proposer writes: its calls are in the same budget."""
        recipe = self._recipe
        if self._proposer_endpoint is None:
            search = Search(recipe, self._plan, standing, self._progress, stages=self._stages)
            return await search.run()
        from llmops_cli.prompt.optimize.reflection import ReflectiveSearch

        path = self._folder.path / REFLECTIONS
        known = read_outcomes(path, Reflection).outcomes
        settings = msgspec.structs.replace(self._settings(), max_tokens=recipe.proposer_tokens)
        with OutcomesFile[Reflection](path) as file:
            async with ChatClient(self._proposer_endpoint, settings, budget=budget) as client:
                proposer = Proposer(client, known, file.append)
                written = ReflectiveSearch(
                    recipe,
                    self._plan,
                    standing,
                    proposer,
                    self._progress,
                    left=budget.requests_left,
                    tested=len(self._stages.tested_before(len(self._stages.budgets) - 1)),
                )
                return await written.run()

    async def _test(self, asker: Asker) -> None:
        """Base and best alike; the base alone where it is the best."""
        sources = [self._plan.source]
        if self._found.best != BASE:
            sources.append(self._best)
        try:
            await asker.have(sources, self._plan.splits.test)
        except BudgetSpent as spent:
            self._stopped = StopReason.of_cap(spent.cap)
            return
        self._is_tested = True

    def _asker(self, client: ChatClient, server: RunningServer) -> Asker:
        return Asker(
            self._recipe,
            self._plan,
            client,
            self._answers,
            check_alive=server.check_alive,
        )

    def _caps(self) -> ChatCaps:
        recipe = self._recipe
        return ChatCaps(
            requests=recipe.calls, tokens=recipe.token_budget, money=recipe.money_budget
        )

    def _search_caps(self) -> ChatCaps:
        """Without what the test still needs: of tokens and money, its share of the calls."""
        whole = self._caps()
        test = self._plan.splits.test
        untested = len(self._answers.missing(self._plan.source, test))
        requests = self._recipe.calls - untested - len(test)
        share = requests / self._recipe.calls
        return ChatCaps(
            requests=requests,
            tokens=None if whole.tokens is None else int(whole.tokens * share),
            money=None if whole.money is None else whole.money * share,
        )

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

    @property
    def _has_prices(self) -> bool:
        return self.prices.are_given or self._recipe.proposer_is_paid

    def _tested(self) -> Tested:
        return Tested(
            plan=self._plan,
            answers=self._answers,
            found=self._found,
            best=self._best,
            is_tested=self._is_tested,
            looks_before=self._stages.looks_before(self._best) if self._is_tested else 0,
        )

    def report(self, clock: RunClock, origins: dict[str, str]) -> OptimizeReport:
        recipe = self._recipe
        spent = spent_of(self._lines)
        tested = self._tested()
        base, best = tested.results()
        return OptimizeReport(
            manifest=clock.manifest(
                recipe,
                origins,
                versions=self._versions,
                seed=recipe.seed,
                digests=self._digests,
                complete=self._is_tested,
            ),
            accepted=tested.is_accepted,
            verdict=tested.verdict,
            base=base,
            best=best,
            paired=tested.paired(),
            anchors=tested.anchors(),
            calls=spent.requests,
            budget_calls=recipe.calls,
            tokens=spent.tokens,
            cost=spent.money if self._has_prices else None,
            splits=self._plan.splits.sizes,
            forecast=self._plan.forecast,
            rounds=self._found.rounds,
            search_end=self._found.end,
            tried=self._found.tried,
            notes=list(self._plan.notes),
            stopped=self._stopped,
            unreadable_lines=self._unreadable,
            test_cases=tested.test_cases(),
        )


def _proposer_endpoint(recipe: OptimizeRecipe) -> ChatEndpoint | None:
    """Raises: UsageError, EnvironmentMissing."""
    if recipe.proposer is None:
        return None
    from llmops_cli.prompt.optimize.reflection import require_gepa

    require_gepa()
    key = api_key(recipe.proposer_key_variable)
    prices = Prices(input=recipe.proposer_price_in, output=recipe.proposer_price_out)
    endpoint = chat_endpoint(recipe.proposer_place, recipe.proposer, key=key, field="proposer_url")
    return msgspec.structs.replace(endpoint, prices=prices)
