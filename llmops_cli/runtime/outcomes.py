"""Outcomes of many small tasks: a line each, written as they end; a killed run goes on.

With it what such a run may spend: a forecast before anything is sent, a budget while it goes.
Works for any outcome that has a `number`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Generic, Protocol, Self, TypeVar

import msgspec

from llmops_cli.core.counted import counted
from llmops_cli.core.errors import UsageError
from llmops_cli.core.prices import Prices
from llmops_cli.core.wrong_json import UNREADABLE
from llmops_cli.runtime.chat_budget import Cap, TokenUse
from llmops_cli.runtime.files import cannot_write

GROWING = os.O_RDWR | os.O_APPEND | os.O_CREAT
OWNER_ONLY = 0o600


class Numbered(Protocol):
    """What came of the task with that number."""

    @property
    def number(self) -> int: ...


OutcomeT = TypeVar("OutcomeT", bound=Numbered)
TaskT = TypeVar("TaskT")


class OutcomesRead(msgspec.Struct, Generic[OutcomeT], frozen=True, kw_only=True):
    """What a file holds, by number. `unreadable`: lines that hold no outcome."""

    outcomes: dict[int, OutcomeT]
    unreadable: int


def uncounted(path: Path, unreadable: int) -> str:
    """What is said of lines of a file of spending: a budget of the whole run lacks them."""
    lines = counted(unreadable, "line")
    return f"{path}: {lines} cannot be read, and no budget counts what stood there"


def read_outcomes(path: Path, kind: type[OutcomeT]) -> OutcomesRead[OutcomeT]:
    """The last line of a number counts; a line that a kill tore is unreadable."""
    found: dict[int, OutcomeT] = {}
    unreadable = 0
    if not path.is_file():
        return OutcomesRead(outcomes=found, unreadable=0)
    for line in path.read_bytes().split(b"\n"):
        if not line.strip():
            continue
        try:
            outcome = msgspec.json.decode(line, type=kind)
        except UNREADABLE:
            unreadable += 1
            continue
        found[outcome.number] = outcome
    return OutcomesRead(outcomes=found, unreadable=unreadable)


class OutcomesFile(Generic[OutcomeT]):
    """A file that grows by whole lines. Use as a context."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> Self:
        try:
            self._file = os.open(self._path, GROWING, OWNER_ONLY)
            self._end_last_line()
        except OSError as error:
            raise cannot_write(self._path, error) from error
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    def append(self, outcome: OutcomeT) -> None:
        """Writes one whole line; nothing is lost if the process is killed after.

        Raises: EnvironmentMissing for a full disk, with no half line left behind.
        """
        line = msgspec.json.encode(outcome) + b"\n"
        size_bytes = os.fstat(self._file).st_size
        try:
            self._write_whole(line)
        except OSError as error:
            os.ftruncate(self._file, size_bytes)
            raise cannot_write(self._path, error) from error

    def _write_whole(self, line: bytes) -> None:
        """A nearly full disk takes a part of a line without an error."""
        rest = memoryview(line)
        while rest:
            written_bytes = os.write(self._file, rest)
            rest = rest[written_bytes:]

    def _end_last_line(self) -> None:
        """Otherwise the next outcome would be written behind half a line and be lost with it.

        Nothing is cut: a last line that is whole but for its end counts, any other is unreadable.
        """
        content = self._path.read_bytes()
        if content and not content.endswith(b"\n"):
            self._write_whole(b"\n")


class StopReason(StrEnum):
    """Why a run ended before its last task; reports hold the text."""

    REQUESTS = "the budget of calls is spent"
    TOKENS = "the token budget is spent"
    MONEY = "the money budget is spent"
    INTERRUPTED = "interrupted"

    @classmethod
    def of_cap(cls, cap: Cap) -> StopReason:
        """Of a request that a hard cap kept from being sent."""
        return cls[cap.name]


class SpendForecast(msgspec.Struct, frozen=True, kw_only=True):
    """What a run will use at most."""

    tasks: int
    tokens: int
    money: float


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """What a run may use; None for no limit."""

    tokens: int | None
    money: float | None
    prices: Prices

    def require(self, forecast: SpendForecast) -> None:
        """Raises: UsageError for a forecast beyond it, before anything is sent."""
        if self.tokens and forecast.tokens > self.tokens:
            raise UsageError(
                f"{forecast.tasks} attempts may take {forecast.tokens:,} tokens, "
                f"the budget is {self.tokens:,}",
                hint="--max-attempts, --max-tokens, or a larger --token-budget",
            )
        if self.money and not self.prices.are_given:
            raise UsageError(
                "--money-budget needs prices",
                hint="--price-in and --price-out, for a million tokens",
            )
        if self.money and forecast.money > self.money:
            raise UsageError(
                f"{forecast.tasks} attempts may cost {forecast.money:.2f}, "
                f"the budget is {self.money:.2f}",
                hint="--max-attempts, --max-tokens, or a larger --money-budget",
            )

    def exhausted(self, used: TokenUse) -> StopReason | None:
        """Why nothing more may be sent, if so."""
        tokens = used.input_tokens + used.output_tokens
        if self.tokens and tokens >= self.tokens:
            return StopReason.TOKENS
        money = self.prices.cost(used.input_tokens, used.output_tokens)
        if self.money and money >= self.money:
            return StopReason.MONEY
        return None


async def work_off(
    tasks: Sequence[TaskT],
    do: Callable[[TaskT], Awaitable[None]],
    *,
    concurrency: int,
    should_stop: Callable[[], StopReason | None],
) -> StopReason | None:
    """Does every task, so many at once, in order; why it stopped early, if it did."""
    queue = iter(tasks)
    stopped: list[StopReason] = []

    async def work() -> None:
        for task in queue:
            reason = should_stop()
            if reason is not None:
                stopped.append(reason)
                return
            await do(task)

    count = min(concurrency, len(tasks))
    workers = [asyncio.create_task(work()) for _ in range(count)]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
    if not stopped:
        return None
    return stopped[0]
