"""`llmops redteam`: every attempt had, judged and written down as it ends; a killed run goes on
where it was.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path

import msgspec

from llmops_cli.core.errors import EngineFailed, Interrupted, LlmopsError, UsageError
from llmops_cli.core.progress import Progress
from llmops_cli.guard.check import Guard
from llmops_cli.guard.leak import LeakCheck
from llmops_cli.guard.policy import DEFAULT, load_policy
from llmops_cli.redteam.client import CHARS_PER_TOKEN, Client, Failed, Stopped
from llmops_cli.redteam.judge import judge
from llmops_cli.redteam.opinion import Opinion
from llmops_cli.redteam.recipe import RedteamRecipe
from llmops_cli.redteam.report import RedteamReport
from llmops_cli.redteam.results import Outcome, report_of
from llmops_cli.redteam.search import ATTACKER_PROMPT, Propose, known_forms, search
from llmops_cli.redteam.suite import Attempt, Suite, attempts_of, load_suite
from llmops_cli.runtime.files import cannot_write, locked, to_json, write_atomic
from llmops_cli.runtime.http import Http
from llmops_cli.runtime.manifest import RunClock
from llmops_cli.serving.start import started
from llmops_cli.serving.target import EngineTarget, PreparedTarget, prepare_target

ATTEMPTS = "attempts.jsonl"
REPORT = "report.json"
PLAN = "recipe.json"
MOST_ROUNDS = 64
KEPT_CHARS = 900
"""Of an answer, in the file; prompts are drawn again from the seed."""


def redteam(
    recipe: RedteamRecipe,
    origins: dict[str, str],
    *,
    folder: Path,
    progress: Progress,
    target: PreparedTarget | None = None,
) -> RedteamReport:
    """Runs what `folder` does not have yet and writes its report.

    Raises: UsageError for a forecast beyond the budget; EngineFailed if nothing answers;
    Interrupted after Ctrl-C. What was done stays, and the same folder goes on.
    """
    suite, rounds = load_suite(recipe.suite, families=recipe.families)
    if recipe.max_attempts is not None:
        rounds = MOST_ROUNDS
    attempts = attempts_of(
        suite, rounds=rounds, seed=recipe.seed, most=recipe.max_attempts, twins=recipe.twins
    )
    tokens, money = forecast(recipe, attempts)
    priced = f" and {money:.2f} in money" if recipe.price_in or recipe.price_out else ""
    progress.say(f"{len(attempts):,} attempts, at most about {tokens:,} tokens{priced}")
    guard = (
        Guard(DEFAULT if recipe.guard == "default" else load_policy(Path(recipe.guard)))
        if recipe.guard
        else None
    )
    if target is None:
        target = prepare_target(target_of(recipe, origins), progress=progress)
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / "redteam"):
        write_atomic(folder / PLAN, to_json(recipe))
        done = read_outcomes(folder / ATTEMPTS)
        clock = RunClock()
        began = time.monotonic()
        http = Http(headers_of(recipe))
        with started(
            target, folder=folder, parallel=recipe.concurrency, progress=progress, http=http
        ) as server:
            versions = server.versions()
            run = _Run(recipe, suite, guard, folder, server.url, server.model, progress)
            stopped = run.go([a for a in attempts if a.number not in done], len(attempts))
        outcomes = read_outcomes(folder / ATTEMPTS)
        manifest = clock.manifest(
            recipe,
            origins,
            versions=versions,
            seed=recipe.seed,
            complete=stopped is None,
            digests=target.digests(),
        )
        report = report_of(
            manifest,
            suite,
            attempts,
            outcomes,
            duration_s=time.monotonic() - began,
            spent=run.client.spent,
            first_request_s=(run.client.first_at - began) if run.client.first_at else None,
            stopped=stopped,
            prices=(recipe.price_in, recipe.price_out),
            guarded=guard is not None,
        )
        write_atomic(folder / REPORT, to_json(report))
    if run.interrupted:
        raise Interrupted(f"interrupted; llmops redteam --resume {folder} goes on")
    if report.attempts and report.errors >= report.attempts + (
        report.twins.attempts if report.twins else 0
    ):
        kind = max(report.error_kinds, key=lambda name: report.error_kinds[name], default="unknown")
        raise EngineFailed(f"no attempt was answered: {kind}", hint="check --url and --model")
    return report


def target_of(recipe: RedteamRecipe, origins: Mapping[str, str]) -> EngineTarget:
    """What is attacked. A server's own first model is taken where nobody named one."""
    named = recipe.model if not recipe.url or origins.get("model", "default") != "default" else None
    return EngineTarget(
        backend="remote" if recipe.url else recipe.backend,
        model=named,
        url=recipe.url,
        options=recipe.options,
    )


def forecast(recipe: RedteamRecipe, attempts: list[Attempt]) -> tuple[int, float]:
    """(tokens, money) at most. Raises: UsageError beyond a budget, before anything is sent."""
    tokens_in = (
        sum(
            sum(len(turn) for turn in a.turns[: i + 1]) + len(a.system)
            for a in attempts
            for i in range(len(a.turns))
        )
        // CHARS_PER_TOKEN
    )
    calls = sum(
        len(a.turns) + (a.search.width * a.search.branch * a.search.depth if a.search else 0)
        for a in attempts
    )
    tokens_out = calls * recipe.max_tokens
    money = (tokens_in * recipe.price_in + tokens_out * recipe.price_out) / 1e6
    if recipe.token_budget and tokens_in + tokens_out > recipe.token_budget:
        raise UsageError(
            f"{len(attempts)} attempts may take {tokens_in + tokens_out:,} tokens, "
            f"the budget is {recipe.token_budget:,}",
            hint="--max-attempts, --max-tokens, or a larger --token-budget",
        )
    if recipe.money_budget and not (recipe.price_in or recipe.price_out):
        raise UsageError(
            "--money-budget needs prices", hint="--price-in and --price-out, for a million tokens"
        )
    if recipe.money_budget and money > recipe.money_budget:
        raise UsageError(
            f"{len(attempts)} attempts may cost {money:.2f}, the budget is {recipe.money_budget:.2f}",
            hint="--max-attempts, --max-tokens, or a larger --money-budget",
        )
    return tokens_in + tokens_out, money


def headers_of(recipe: RedteamRecipe) -> dict[str, str]:
    key = os.environ.get(recipe.api_key_env, "").strip()
    return {"Authorization": f"Bearer {key}"} if key else {}


def read_outcomes(path: Path) -> dict[int, Outcome]:
    """What was written, by number; a line that a kill broke off is not there."""
    found: dict[int, Outcome] = {}
    if path.is_file():
        for line in path.read_bytes().split(b"\n"):
            try:
                outcome = msgspec.json.decode(line, type=Outcome)
            except msgspec.DecodeError:
                continue
            found[outcome.number] = outcome
    return found


class _Run:
    def __init__(
        self,
        recipe: RedteamRecipe,
        suite: Suite,
        guard: Guard | None,
        folder: Path,
        url: str,
        model: str,
        progress: Progress,
    ) -> None:
        self._recipe = recipe
        self._suite = suite
        self._guard = guard
        self._progress = progress
        self.client = self._client(url, model)
        self._attacker = (
            self._client(recipe.attacker_url, recipe.attacker_model or "default")
            if recipe.attacker_url
            else None
        )
        self._opinion = (
            Opinion(recipe.judge_url, recipe.judge_model or "default") if recipe.judge_url else None
        )
        self._path = folder / ATTEMPTS
        self._pairs = dict[str, Outcome]()
        self.interrupted = False

    def _client(self, url: str, model: str) -> Client:
        recipe = self._recipe
        return Client(
            url.rstrip("/").removesuffix("/v1"),
            model,
            headers=headers_of(recipe),
            max_tokens=recipe.max_tokens,
            temperature=recipe.temperature,
            seed=recipe.seed,
            timeout_s=recipe.timeout_s,
            retries=recipe.retries,
            rate=recipe.rate,
            concurrency=recipe.concurrency,
        )

    def go(self, todo: list[Attempt], total: int) -> str | None:
        """Has every attempt; why it stopped early, if it did."""
        self._done = total - len(todo)
        self._total = total
        order = sorted(
            todo, key=lambda a: (a.search is None, -len(a.turns), a.number)
        )  # the long ones first
        self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            return asyncio.run(self._all(order))
        except KeyboardInterrupt:
            self.interrupted = True
            return "interrupted"
        finally:
            os.close(self._file)

    async def _all(self, order: list[Attempt]) -> str | None:
        queue = iter(order)
        stopped: list[str] = []
        async with self.client, self._attacker or nullcontext(), self._opinion or nullcontext():

            async def work() -> None:
                for attempt in queue:
                    if reason := self._over_budget():
                        stopped.append(reason)
                        return
                    self._write(await self._have(attempt))

            workers = [
                asyncio.create_task(work())
                for _ in range(min(self._recipe.concurrency, len(order)))
            ]
            try:
                await asyncio.gather(*workers)
            finally:
                for worker in workers:
                    worker.cancel()
        return stopped[0] if stopped else None

    def _over_budget(self) -> str | None:
        spent = self.client.spent
        recipe = self._recipe
        if recipe.token_budget and spent.input_tokens + spent.output_tokens >= recipe.token_budget:
            return "the token budget is spent"
        money = (
            spent.input_tokens * recipe.price_in + spent.output_tokens * recipe.price_out
        ) / 1e6
        return (
            "the money budget is spent"
            if recipe.money_budget and money >= recipe.money_budget
            else None
        )

    # -- one attempt
    # -----------------------------------------------------------------------------------

    async def _have(self, attempt: Attempt) -> Outcome:
        start = time.monotonic()
        try:
            said, answer, blocked = await (
                self._searched(attempt) if attempt.search else self._talked(attempt)
            )
        except Stopped:
            return Outcome(
                number=attempt.number,
                why="stopped by the target's filter",
                blocked=True,
                guarded=None if self._guard is None else False,
                seconds=round(time.monotonic() - start, 3),
            )
        except Failed as failed:
            return Outcome(
                number=attempt.number, error=failed.kind, seconds=round(time.monotonic() - start, 3)
            )
        except LlmopsError as error:
            return Outcome(
                number=attempt.number,
                error=error.message[:200],
                seconds=round(time.monotonic() - start, 3),
            )
        verdict = judge(attempt, answer)
        success = verdict.success
        why = verdict.why
        if self._opinion is not None and not attempt.twin:
            success = await self._opinion.of(attempt, answer)
            why = "the judge model says so"
        guarded: bool | None = None
        if self._guard is not None:
            guarded = False if blocked else self._passes(attempt, answer, success)
        return Outcome(
            number=attempt.number,
            success=success,
            refused=verdict.refused,
            why=why,
            answer=answer[:KEPT_CHARS],
            said=said[:KEPT_CHARS] if attempt.search else "",
            blocked=blocked,
            guarded=guarded,
            compliance=round(verdict.compliance, 3),
            seconds=round(time.monotonic() - start, 3),
        )

    async def _talked(self, attempt: Attempt) -> tuple[str, str, bool | None]:
        """(last message, last answer, whether the guard stopped a message)."""
        messages = [{"role": "system", "content": attempt.system}] if attempt.system else []
        for question, answer in attempt.history:
            messages += [
                {"role": "user", "content": question},
                {"role": "assistant", "content": answer},
            ]
        blocked = None if self._guard is None else False
        reply = ""
        for turn in attempt.turns:
            if self._guard is not None:
                blocked = (
                    blocked or self._guard.check_input(turn, role=attempt.role).action == "block"
                )
            messages.append({"role": "user", "content": turn})
            asked = (
                [*messages, {"role": "assistant", "content": attempt.prefill}]
                if attempt.prefill
                else messages
            )
            reply = await self.client.say(asked)
            messages.append({"role": "assistant", "content": reply})
        return attempt.turns[-1], reply, blocked

    async def _searched(self, attempt: Attempt) -> tuple[str, str, bool | None]:
        async def ask(message: str) -> str | None:
            system = [{"role": "system", "content": attempt.system}] if attempt.system else []
            try:
                return await self.client.say([*system, {"role": "user", "content": message}])
            except (Failed, Stopped):
                return None

        tried, _ = await search(attempt, ask, self._proposals(attempt))
        if not tried:
            raise Stopped
        message, answer = tried[-1]
        blocked = None
        if self._guard is not None:
            blocked = self._guard.check_input(message, role=attempt.role).action == "block"
        return message, answer, blocked

    def _proposals(self, attempt: Attempt) -> Propose:
        attacker = self._attacker
        if attacker is None:
            return known_forms(self._suite, attempt)

        async def propose(goal: str, history: list[tuple[str, str]], count: int) -> list[str]:
            told = (
                "\n".join(
                    f"- {message}\n  answered: {answer[:300]}" for message, answer in history[-4:]
                )
                or "none"
            )
            prompt = ATTACKER_PROMPT.format(goal=goal, history=told)
            return [await attacker.say([{"role": "user", "content": prompt}]) for _ in range(count)]

        return propose

    def _passes(self, attempt: Attempt, answer: str, success: bool) -> bool:
        """Whether the success survives the guard on the answer."""
        if not success or self._guard is None:
            return False
        decision = self._guard.check_output(
            answer, leak=LeakCheck(attempt.system) if attempt.system else None
        )
        if decision.action == "block":
            return False
        return judge(attempt, decision.text).success if decision.text != answer else True

    # -- writing
    # ---------------------------------------------------------------------------------------

    def _write(self, outcome: Outcome) -> None:
        """One line at once; nothing is lost if the process is killed."""
        try:
            os.write(self._file, msgspec.json.encode(outcome) + b"\n")
        except OSError as error:
            raise cannot_write(self._path, error) from error
        self._done += 1
        self._progress.update("attempts", self._done, self._total)
