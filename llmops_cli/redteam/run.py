"""`llmops redteam`: every attempt had, judged and written down as it ends.

A killed run goes on where it was.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager

import msgspec

from llmops_cli.core.counted import counted
from llmops_cli.core.prices import Prices
from llmops_cli.core.progress import Progress
from llmops_cli.core.report import Manifest
from llmops_cli.evaluate.compliance import fitted
from llmops_cli.evaluate.yes_no import judge_client
from llmops_cli.redteam.attempts import Attempt
from llmops_cli.redteam.conditions import PlannedShares, planned_hunt, planned_shares
from llmops_cli.redteam.conversation import Interrogator
from llmops_cli.redteam.guard_run import DEFAULT_TRIES, redteam_guard
from llmops_cli.redteam.outcome import AttemptOutcome
from llmops_cli.redteam.plan import Plan, forecast_line, plan_of, refuse_idle_attacker
from llmops_cli.redteam.recipe import RedteamRecipe
from llmops_cli.redteam.report import RedteamReport
from llmops_cli.redteam.results import Results, results_of
from llmops_cli.redteam.run_key import require_same, run_key
from llmops_cli.redteam.sarif import SUCCESSES, successes_lines
from llmops_cli.redteam.spending import SPENT, RunSpend, SpendMeter, read_spend
from llmops_cli.redteam.target import engine_target
from llmops_cli.runtime.chat import (
    ChatClient,
    ChatEndpoint,
    ChatSettings,
    TokenUse,
    require_answer,
)
from llmops_cli.runtime.files import locked, to_json, write_atomic
from llmops_cli.runtime.http import Http
from llmops_cli.runtime.keys import bearer
from llmops_cli.runtime.manifest import RunClock
from llmops_cli.runtime.outcomes import (
    OutcomesFile,
    OutcomesRead,
    StopReason,
    read_outcomes,
    uncounted,
    work_off,
)
from llmops_cli.runtime.runs import RunFolder
from llmops_cli.serving.start import RunningServer, started
from llmops_cli.serving.target import EngineTarget, check_target, prepare_target

ATTEMPTS = "attempts.jsonl"
RECIPE = "recipe.json"
ATTACKER_LOG = "attacker.log"


def redteam(
    recipe: RedteamRecipe,
    origins: dict[str, str],
    *,
    folder: RunFolder,
    progress: Progress,
) -> RedteamReport:
    """Has the attempts that `folder` does not have yet, and writes its report.

    What is wrong with the run: redteam.gates. Raises: UsageError and EnvironmentMissing before
    anything is sent or made; EngineFailed if our engine ends (--resume goes on).
    """
    plan = plan_of(recipe)
    refuse_idle_attacker(recipe, origins, plan.attempts)
    if recipe.target == "guard":
        return redteam_guard(recipe, origins, plan=plan, folder=folder, progress=progress)
    asked = engine_target(recipe)
    check_target(asked)
    progress.say(forecast_line(plan))
    _require_helpers(plan)
    target = prepare_target(asked, progress=progress)
    http = Http(bearer(plan.key))
    key = run_key(plan.attempts, policy=recipe.guard, model=target.digests())
    with locked(folder.path / "redteam"):
        require_same(folder.path, key, progress)
        clock = RunClock()
        began = time.monotonic()
        with (
            _own_attacker(recipe, plan, folder, progress) as attacker,
            started(
                target, folder=folder, parallel=recipe.concurrency, progress=progress, http=http
            ) as server,
        ):
            write_atomic(folder.path / RECIPE, to_json(recipe))
            versions = server.versions()
            client = _target_client(recipe, plan, server)
            client.tell_refusals(progress.warn)
            with SpendMeter(folder.path, client) as meter:
                if meter.unreadable:
                    progress.warn(uncounted(folder.path / SPENT, meter.unreadable))
                helped = msgspec.structs.replace(plan, attacker=attacker)
                stopped = _have_all(recipe, helped, client, meter, server, folder, progress)
        manifest = clock.manifest(
            recipe,
            origins,
            versions=versions,
            seed=recipe.seed,
            complete=stopped is None,
            digests=target.digests(),
        )
        first_request_s = _since(began, client.first_at)
        return _written(folder, plan, manifest, first_request_s=first_request_s, stopped=stopped)


def _written(
    folder: RunFolder,
    plan: Plan,
    manifest: Manifest,
    *,
    first_request_s: float | None,
    stopped: StopReason | None,
) -> RedteamReport:
    """The report of the outcomes that the folder has."""
    outcomes = read_outcomes(folder.path / ATTEMPTS, AttemptOutcome)
    results = _results(plan, outcomes)
    write_atomic(folder.path / SUCCESSES, successes_lines(results.successes()))
    report = _report(
        manifest,
        plan,
        results,
        outcomes,
        read_spend(folder.path),
        first_request_s=first_request_s,
        stopped=stopped,
    )
    folder.write_report(report)
    return report


def shares_of(recipe: RedteamRecipe) -> PlannedShares:
    """What `--fail-if` may ask of such a run. Raises: as `plan_of`."""
    plan = plan_of(recipe)
    if recipe.target == "guard":
        return planned_hunt(recipe.max_attempts or DEFAULT_TRIES)
    return planned_shares(plan.attempts, has_guard=plan.guard is not None)


def _require_helpers(plan: Plan) -> None:
    """Those that the user named, at once and before a folder is made."""
    if plan.attacker is not None:
        require_answer(plan.attacker, field="attacker_url")
    if plan.judge is not None:
        require_answer(plan.judge, field="judge_url")


@contextmanager
def _own_attacker(
    recipe: RedteamRecipe,
    plan: Plan,
    folder: RunFolder,
    progress: Progress,
) -> Iterator[ChatEndpoint | None]:
    """An attacker that we serve ourselves, or the endpoint that the user named, if any."""
    if recipe.attacker is None:
        yield plan.attacker
        return
    model = EngineTarget(model=recipe.attacker)
    with started(
        model,
        folder=folder,
        parallel=recipe.concurrency,
        progress=progress,
        log_name=ATTACKER_LOG,
    ) as server:
        yield ChatEndpoint(url=server.url, model=server.model)


def _target_client(
    recipe: RedteamRecipe,
    plan: Plan,
    server: RunningServer,
) -> ChatClient:
    """The key is for a server that the user named; an engine of ours has none."""
    key = plan.key if server.prepared.is_remote else ""
    endpoint = ChatEndpoint(url=server.url, model=server.model, key=key)
    return ChatClient(endpoint, _settings(recipe))


def _settings(recipe: RedteamRecipe) -> ChatSettings:
    return ChatSettings(
        max_tokens=recipe.max_tokens,
        temperature=recipe.temperature,
        seed=recipe.seed,
        timeout_s=recipe.timeout_s,
        retries=recipe.retries,
        rate=recipe.rate,
        concurrency=recipe.concurrency,
    )


def _have_all(
    recipe: RedteamRecipe,
    plan: Plan,
    client: ChatClient,
    meter: SpendMeter,
    server: RunningServer,
    folder: RunFolder,
    progress: Progress,
) -> StopReason | None:
    """Every attempt that nothing decided yet; why it stopped early, if it did."""
    path = folder.path / ATTEMPTS
    found = read_outcomes(path, AttemptOutcome)
    if found.unreadable:
        progress.warn(f"{path}: {counted(found.unreadable, 'torn line')}, had again")
    decided = {number for number, outcome in found.outcomes.items() if outcome.is_decided}
    todo = [attempt for attempt in plan.attempts if attempt.number not in decided]
    todo.sort(key=_longest_first)
    written = len(plan.attempts) - len(todo)

    async def run() -> StopReason | None:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(client)
            interrogator = Interrogator(
                client,
                plan.suite,
                attacker=await _attacker(stack, recipe, plan, meter),
                judge_model=await _judge(stack, plan, meter),
                guard=plan.guard,
            )

            async def have(attempt: Attempt) -> None:
                nonlocal written
                outcome = await interrogator.have(attempt)
                if outcome.error:
                    server.check_alive()
                file.append(outcome)
                meter.note()
                written += 1
                progress.update("attempts", written, len(plan.attempts))

            return await work_off(
                todo,
                have,
                concurrency=recipe.concurrency,
                should_stop=lambda: plan.budget.exhausted(meter.used),
            )

    with OutcomesFile[AttemptOutcome](path) as file:
        try:
            return asyncio.run(run())
        except KeyboardInterrupt:
            return StopReason.INTERRUPTED


async def _attacker(
    stack: AsyncExitStack,
    recipe: RedteamRecipe,
    plan: Plan,
    meter: SpendMeter,
) -> ChatClient | None:
    if plan.attacker is None:
        return None
    client = ChatClient(plan.attacker, _settings(recipe))
    meter.watch(client)
    return await stack.enter_async_context(client)


async def _judge(
    stack: AsyncExitStack,
    plan: Plan,
    meter: SpendMeter,
) -> ChatClient | None:
    if plan.judge is None:
        return None
    client = judge_client(plan.judge)
    meter.watch(client)
    return await stack.enter_async_context(client)


def _longest_first(attempt: Attempt) -> tuple[bool, int, int]:
    """So that no long conversation runs alone at the end."""
    return attempt.search is None, -len(attempt.turns), attempt.number


def _results(plan: Plan, found: OutcomesRead[AttemptOutcome]) -> Results:
    has_guard = plan.guard is not None
    return results_of(plan.suite, plan.attempts, found.outcomes, guarded=has_guard)


def _report(
    manifest: Manifest,
    plan: Plan,
    results: Results,
    found: OutcomesRead[AttemptOutcome],
    spend: RunSpend,
    *,
    first_request_s: float | None,
    stopped: StopReason | None,
) -> RedteamReport:
    error_kinds = results.error_kinds()
    undecided_kinds = results.undecided_kinds()
    used = spend.used
    return RedteamReport(
        manifest=manifest,
        attempts=len(results.attacks),
        duration_s=round(spend.elapsed_s, 3),
        families=results.families(),
        overall=results.overall(),
        mappings=results.mappings(),
        twins=results.twin_result(),
        examples=results.examples(),
        requests=used.requests,
        errors=sum(error_kinds.values()),
        error_kinds=error_kinds,
        undecided=sum(undecided_kinds.values()),
        undecided_kinds=undecided_kinds,
        parts=spend.parts,
        unreadable_lines=found.unreadable,
        input_tokens=used.input_tokens,
        output_tokens=used.output_tokens,
        helper_requests=spend.helpers.requests,
        helper_tokens=spend.helpers.input_tokens + spend.helpers.output_tokens,
        money=_money(plan.budget.prices, spend.all_used),
        first_request_s=first_request_s,
        stopped=stopped,
        judge_errors=fitted().errors,
    )


def _since(began: float, at: float | None) -> float | None:
    """Seconds; None for what never happened."""
    if at is None:
        return None
    return round(at - began, 3)


def _money(prices: Prices, used: TokenUse) -> float | None:
    """None where nobody said what a token costs."""
    if not prices.are_given:
        return None
    cost = prices.cost(used.input_tokens, used.output_tokens)
    return round(cost, 6)
