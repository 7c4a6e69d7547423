"""The part that runs: so many rows in flight, each written down as it ends, and what that took."""

from __future__ import annotations

import asyncio
import resource
import time
from collections import Counter
from collections.abc import Iterator

from llmops_cli.core.histogram import key_of, value_of
from llmops_cli.core.progress import Progress
from llmops_cli.core.report import Manifest
from llmops_cli.generate.asking import Asker
from llmops_cli.generate.journal import Journal, Total
from llmops_cli.generate.plan import BatchPlan
from llmops_cli.generate.recipe import GenerateRecipe
from llmops_cli.generate.report import GenerateReport, Stop
from llmops_cli.generate.rows import RawRow
from llmops_cli.runtime.chat import (
    BudgetSpent,
    Cap,
    ChatBudget,
    ChatEndpoint,
    Filtered,
    Unanswered,
)
from llmops_cli.runtime.chat_connection import ChatConnection
from llmops_cli.runtime.chat_errors import GONE
from llmops_cli.runtime.chat_sending import Sender, SendSettings
from llmops_cli.serving.start import RunningServer

STOPS = {Cap.REQUESTS: Stop.REQUESTS, Cap.TOKENS: Stop.TOKENS, Cap.MONEY: Stop.MONEY}
GONE_AFTER = 3
"""Rows one after the other, for each in flight, that find no server: there is none any more."""
TELL_EVERY_S = 0.25


class BatchWork:
    """One part of a run."""

    def __init__(
        self,
        recipe: GenerateRecipe,
        plan: BatchPlan,
        endpoint: ChatEndpoint,
        journal: Journal,
        *,
        concurrency: int,
    ) -> None:
        self._plan = plan
        self._journal = journal
        self._asker = Asker(recipe, endpoint)
        self._concurrency = concurrency
        self._connection = ChatConnection(
            endpoint.url,
            endpoint.credentials(),
            concurrency=concurrency,
            timeout_s=recipe.timeout_s,
        )
        settings = SendSettings(
            retries=recipe.retries,
            rate=recipe.rate,
            tokens_per_min=recipe.tokens_per_min,
        )
        budget = ChatBudget(plan.caps)
        self._sender = Sender(endpoint, self._connection, settings, budget=budget)
        self._budget = budget
        self._now = Total()
        self._latencies: Counter[int] = Counter()
        self._unreached = 0
        self._stopped: Stop | None = None
        self._duration_s = 0.0
        self._cpu_s = 0.0

    def run(self, *, server: RunningServer, progress: Progress) -> Stop | None:
        """Why it ended before the last row, if it did. Raises: EngineFailed if our engine ends."""
        import uvloop

        self._sender.tell_refusals(progress.warn)
        start_s = time.monotonic()
        cpu_start_s = _cpu_s()
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._work_off(server, progress))
        except KeyboardInterrupt:
            self._stopped = Stop.INTERRUPTED
        finally:
            self._duration_s = time.monotonic() - start_s
            self._cpu_s = _cpu_s() - cpu_start_s
        return self._stopped

    async def _work_off(self, server: RunningServer, progress: Progress) -> None:
        rows = self._rows_left()
        telling = asyncio.create_task(self._tell(progress))
        async with self._connection:
            workers = [
                asyncio.create_task(self._work(rows, server)) for _ in range(self._concurrency)
            ]
            try:
                await asyncio.gather(*workers)
            finally:
                telling.cancel()
                for worker in workers:
                    worker.cancel()
                await asyncio.gather(*workers, telling, return_exceptions=True)
        self._update(progress)

    def _rows_left(self) -> Iterator[RawRow]:
        for raw in self._plan.file:
            if not self._journal.has(raw.number):
                yield raw

    async def _work(self, rows: Iterator[RawRow], server: RunningServer) -> None:
        for raw in rows:
            if self._stopped is not None:
                return
            await self._answer(raw, server)

    async def _answer(self, raw: RawRow, server: RunningServer) -> None:
        """Written down, unless a cap forbids to ask."""
        row = self._plan.file.read(raw)
        ask = self._asker.ask_of(row)
        start_s = time.monotonic()
        try:
            found = await self._sender.send(
                ask.path, ask.body, ask.bound, self._asker.reader_of(row)
            )
        except BudgetSpent as spent:
            self._stopped = self._stopped or STOPS[spent.cap]
            return
        except (Unanswered, Filtered) as failed:
            found = self._asker.failed(row, failed)
            self._note_failure(failed, server)
            seconds = time.monotonic() - start_s
        else:
            self._unreached = 0
            seconds = time.monotonic() - start_s
            self._latencies[key_of(seconds)] += 1
        self._journal.append(raw.number, found, round(seconds, 4))
        self._now.add(found)

    def _note_failure(self, failed: Unanswered | Filtered, server: RunningServer) -> None:
        """Stops for a server that is gone. Raises: EngineFailed for ours."""
        if not isinstance(failed, Unanswered) or failed.kind not in GONE:
            self._unreached = 0
            return
        server.check_alive()
        self._unreached += 1
        if self._unreached >= GONE_AFTER * self._concurrency:
            self._stopped = self._stopped or Stop.SERVER_GONE

    async def _tell(self, progress: Progress) -> None:
        while True:
            await asyncio.sleep(TELL_EVERY_S)
            self._update(progress)

    def _update(self, progress: Progress) -> None:
        before = self._journal.before
        done = before.answered + before.failed + self._now.answered + self._now.failed
        failed = before.failed + self._now.failed
        note = f"{failed:,} failed" if failed else ""
        progress.update("rows", done, self._plan.contents.rows, note)

    def report(self, manifest: Manifest, *, output: str, stopped: Stop | None) -> GenerateReport:
        """Of all parts together, and of this one."""
        before = self._journal.before
        now = self._now
        rows = self._plan.contents.rows
        answered = before.answered + now.answered
        kinds = before.errors + now.errors
        input_tokens = before.input_tokens + now.input_tokens
        output_tokens = before.output_tokens + now.output_tokens
        prices = self._plan.prices
        cost = prices.cost(input_tokens, output_tokens)
        done = now.answered + now.failed
        return GenerateReport(
            manifest=manifest,
            output=output,
            rows=rows,
            answered=answered,
            failed=kinds.total(),
            not_asked=rows - answered - kinds.total(),
            answered_before=before.answered,
            error_kinds=dict(kinds.most_common()),
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            cost=round(cost, 6) if prices.are_given else None,
            requests=self._budget.spent.requests,
            duration_s=round(self._duration_s, 3),
            rows_per_s=round(done / self._duration_s, 2) if done else None,
            latency_p50_s=_percentile(self._latencies, 0.5),
            latency_p95_s=_percentile(self._latencies, 0.95),
            cpu_s=round(self._cpu_s, 3),
            torn_lines=self._journal.torn_lines,
            stopped=stopped,
        )


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _percentile(buckets: Counter[int], share: float) -> float | None:
    wanted = share * buckets.total()
    so_far = 0
    for key in sorted(buckets):
        so_far += buckets[key]
        if so_far >= wanted:
            return round(value_of(key), 4)
    return None
