"""A budget that holds over kill -9: what a request may take is written down before it is sent.

A line says what was reserved, a later one of the same number what it took. A request whose process
was killed has no second line, and counts with all that it may have taken.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec

from llmops_cli.core.prices import Prices
from llmops_cli.core.progress import Progress
from llmops_cli.runtime.chat_budget import ChatBudget, ChatCaps, Spend
from llmops_cli.runtime.chat_request import TokenBound
from llmops_cli.runtime.outcomes import OutcomesFile, read_outcomes, uncounted

SPENDING = "spending.jsonl"
"""Its name in a run's folder."""


class Spending(msgspec.Struct, frozen=True, kw_only=True):
    """Of one request; `is_settled`: it is known what it took."""

    number: int
    requests: int
    tokens: int
    money: float
    is_settled: bool


def spent_of(lines: Mapping[int, Spending]) -> Spend:
    """All that is taken, or may be."""
    return Spend(
        requests=sum(each.requests for each in lines.values()),
        tokens=sum(each.tokens for each in lines.values()),
        money=math.fsum(each.money for each in lines.values()),
    )


def kept_lines(
    path: Path,
    file: OutcomesFile[Spending],
    *,
    recorded: Spend,
    progress: Progress,
) -> dict[int, Spending]:
    """What earlier parts of a run spent, by its lines in `path`, which `file` has opened.

    `recorded`: by what the run's other files tell. A run that an older version began has those
    alone, so that its lines begin with one for them all.
    """
    found = read_outcomes(path, Spending)
    if found.unreadable:
        progress.warn(uncounted(path, found.unreadable))
    lines = found.outcomes
    if not lines and (recorded.requests or recorded.tokens):
        first = Spending(
            number=0,
            requests=recorded.requests,
            tokens=recorded.tokens,
            money=recorded.money,
            is_settled=True,
        )
        file.append(first)
        lines[first.number] = first
    return lines


class KeptBudget(ChatBudget):
    """The same budget, with a file; `lines` are those of runs before this one, and grow."""

    def __init__(
        self,
        caps: ChatCaps,
        *,
        lines: dict[int, Spending],
        file: OutcomesFile[Spending],
        some_are_free: bool = False,
    ) -> None:
        super().__init__(caps, spent=spent_of(lines), some_are_free=some_are_free)
        self._lines = lines
        self._file = file
        self._next = max(lines, default=-1) + 1
        self._numbers: dict[int, int] = {}

    def requests_left(self) -> int:
        """By its cap; what a killed process had open counts as sent."""
        most = self.caps.requests
        return sys.maxsize if most is None else most - self.spent.requests

    async def reserve(self, bound: TokenBound, prices: Prices) -> Spend:
        """As of any budget, and on disk when it returns."""
        reserved = await super().reserve(bound, prices)
        number = self._next
        self._next += 1
        self._numbers[id(reserved)] = number
        self._keep(number, reserved, is_settled=False)
        return reserved

    def settle(self, reserved: Spend, taken: Spend) -> None:
        number = self._numbers.pop(id(reserved))
        self._keep(number, taken, is_settled=True)
        super().settle(reserved, taken)

    def _keep(self, number: int, spend: Spend, *, is_settled: bool) -> None:
        line = Spending(
            number=number,
            requests=spend.requests,
            tokens=spend.tokens,
            money=spend.money,
            is_settled=is_settled,
        )
        self._file.append(line)
        self._lines[number] = line
