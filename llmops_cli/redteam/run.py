"""`llmops redteam`: every attempt had, judged and written down as it ends.

A killed run goes on where it was.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec

from llmops_cli.core.progress import Progress
from llmops_cli.core.report import Manifest
from llmops_cli.evaluate.compliance import fitted
from llmops_cli.evaluate.yes_no import judge_client
from llmops_cli.redteam.attempts import Attempt
from llmops_cli.redteam.conversation import Interrogator
from llmops_cli.redteam.outcome import AttemptOutcome
from llmops_cli.redteam.plan import Plan, forecast_line, plan_of
from llmops_cli.redteam.recipe import RedteamRecipe
from llmops_cli.redteam.report import RedteamReport
from llmops_cli.redteam.results import results_of
from llmops_cli.runtime.chat import (
    ChatClient,
    ChatEndpoint,
    ChatSettings,
    TokenUse,
    chat_endpoint,
    require_answer,
)
from llmops_cli.runtime.files import locked, to_json, write_atomic
from llmops_cli.runtime.http import Http
from llmops_cli.runtime.keys import bearer
from llmops_cli.runtime.manifest import RunClock
from llmops_cli.runtime.outcomes import (
    OutcomesFile,
    Prices,
    StopReason,
    read_outcomes,
    work_off,
)
from llmops_cli.runtime.runs import RunFolder
from llmops_cli.serving.start import RunningServer, started
from llmops_cli.serving.target import EngineTarget, check_target, prepare_target

ATTEMPTS = "attempts.jsonl"
RECIPE = "recipe.json"


def redteam(
    recipe: RedteamRecipe,
    origins: dict[str, str],
    *,
    folder: RunFolder,
    progress: Progress,
) -> RedteamReport:
    """Has the attempts that `folder` does not have yet, and writes its report.

    What is wrong with the run is asked of the report (redteam.gates). Raises: UsageError and
    EnvironmentMissing before anything is sent or made; EngineFailed if our engine ends, with what
    was done kept for --resume.
    """
    plan = plan_of(recipe)
    asked = target_of(recipe, origins)
    check_target(asked)
    progress.say(forecast_line(plan))
    _require_answers(recipe, plan)
    target = prepare_target(asked, progress=progress)
    http = Http(bearer(plan.key))
    with locked(folder.path / "redteam"):
        clock = RunClock()
        began = time.monotonic()
        with started(
            target, folder=folder, parallel=recipe.concurrency, progress=progress, http=http
        ) as server:
            if target.is_remote and server.model != recipe.model:
                recipe = msgspec.structs.replace(recipe, model=server.model)
                origins = {**origins, "model": "server"}
            write_atomic(folder.path / RECIPE, to_json(recipe))
            versions = server.versions()
            client = _target_client(recipe, plan, server)
            path = folder.path / ATTEMPTS
            stopped = _have_all(recipe, plan, client, server, path, progress)
        manifest = clock.manifest(
            recipe,
            origins,
            versions=versions,
            seed=recipe.seed,
            complete=stopped is None,
            digests=target.digests(),
        )
        outcomes = read_outcomes(folder.path / ATTEMPTS, AttemptOutcome)
        report = _report(manifest, plan, outcomes, client, began=began, stopped=stopped)
        folder.write_report(report)
    return report


def target_of(recipe: RedteamRecipe, origins: Mapping[str, str]) -> EngineTarget:
    """What is attacked. A server's own first model is taken where nobody named one."""
    has_name = origins.get("model", "default") != "default"
    is_named = has_name or not recipe.url
    return EngineTarget(
        backend=recipe.backend,
        model=recipe.model if is_named else None,
        url=recipe.url,
        options=recipe.options,
    )


def _require_answers(recipe: RedteamRecipe, plan: Plan) -> None:
    """Every endpoint that the user named, at once and before a folder is made."""
    if recipe.url is not None:
        endpoint = chat_endpoint(recipe.url, recipe.model, key=plan.key)
        require_answer(endpoint)
    if plan.attacker is not None:
        require_answer(plan.attacker, field="attacker_url")
    if plan.judge is not None:
        require_answer(plan.judge, field="judge_url")


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
    server: RunningServer,
    path: Path,
    progress: Progress,
) -> StopReason | None:
    """Every attempt that is not in the file yet; why it stopped early, if it did."""
    done = read_outcomes(path, AttemptOutcome)
    todo = [attempt for attempt in plan.attempts if attempt.number not in done]
    todo.sort(key=_longest_first)
    written = len(done)

    async def run() -> StopReason | None:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(client)
            interrogator = Interrogator(
                client,
                plan.suite,
                attacker=await _attacker(stack, recipe, plan),
                judge_model=await _judge(stack, plan),
                guard=plan.guard,
            )

            async def have(attempt: Attempt) -> None:
                nonlocal written
                outcome = await interrogator.have(attempt)
                if outcome.error:
                    server.check_alive()
                file.append(outcome)
                written += 1
                progress.update("attempts", written, len(plan.attempts))

            return await work_off(
                todo,
                have,
                concurrency=recipe.concurrency,
                should_stop=lambda: plan.budget.exhausted(client.used),
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
) -> ChatClient | None:
    if plan.attacker is None:
        return None
    client = ChatClient(plan.attacker, _settings(recipe))
    return await stack.enter_async_context(client)


async def _judge(stack: AsyncExitStack, plan: Plan) -> ChatClient | None:
    if plan.judge is None:
        return None
    client = judge_client(plan.judge)
    return await stack.enter_async_context(client)


def _longest_first(attempt: Attempt) -> tuple[bool, int, int]:
    """So that no long conversation runs alone at the end."""
    return attempt.search is None, -len(attempt.turns), attempt.number


def _report(
    manifest: Manifest,
    plan: Plan,
    outcomes: dict[int, AttemptOutcome],
    client: ChatClient,
    *,
    began: float,
    stopped: StopReason | None,
) -> RedteamReport:
    has_guard = plan.guard is not None
    results = results_of(plan.suite, plan.attempts, outcomes, guarded=has_guard)
    error_kinds = results.error_kinds()
    used = client.used
    first_request_s = None
    if client.first_at is not None:
        first_request_s = round(client.first_at - began, 3)
    duration_s = time.monotonic() - began
    return RedteamReport(
        manifest=manifest,
        attempts=len(results.attacks),
        duration_s=round(duration_s, 3),
        families=results.families(),
        overall=results.overall(),
        mappings=results.mappings(),
        twins=results.twin_result(),
        examples=results.examples(),
        requests=used.requests,
        errors=sum(error_kinds.values()),
        error_kinds=error_kinds,
        input_tokens=used.input_tokens,
        output_tokens=used.output_tokens,
        money=_money(plan.budget.prices, used),
        first_request_s=first_request_s,
        stopped=stopped,
        judge_errors=fitted().errors,
    )


def _money(prices: Prices, used: TokenUse) -> float | None:
    """None where nobody said what a token costs."""
    if not prices.are_given:
        return None
    cost = prices.cost(used.input_tokens, used.output_tokens)
    return round(cost, 6)
