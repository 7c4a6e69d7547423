"""Outcomes in a file that grows, budgets, and work that is shared out."""

from __future__ import annotations

import asyncio
import resource
import signal
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmops_cli.core.errors import EnvironmentMissing, UsageError
from llmops_cli.core.prices import Prices
from llmops_cli.runtime.chat import TokenUse
from llmops_cli.runtime.outcomes import (
    Budget,
    OutcomesFile,
    SpendForecast,
    StopReason,
    read_outcomes,
    work_off,
)


class Answer(msgspec.Struct, frozen=True):
    number: int
    text: str = ""


def append(path: Path, *outcomes: Answer) -> None:
    with OutcomesFile[Answer](path) as file:
        for outcome in outcomes:
            file.append(outcome)


def test_no_file_no_outcomes(tmp_path: Path) -> None:
    assert read_outcomes(tmp_path / "none", Answer).outcomes == {}


@given(text=st.text(), cut=st.integers(1, 60))
@settings(deadline=None)
def test_a_torn_line_takes_no_other_with_it(
    text: str, cut: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("run") / "outcomes.jsonl"
    append(path, Answer(0, text), Answer(1, text))
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    torn = whole[: max(first, len(whole) - cut)]
    path.write_bytes(torn)
    append(path, Answer(2, "after"))
    read = read_outcomes(path, Answer)
    assert read.outcomes[0] == Answer(0, text)
    assert read.outcomes[2] == Answer(2, "after")
    is_whole = cut == 1  # its end alone is missing
    is_gone = len(torn) == first
    assert read.outcomes.get(1) == (Answer(1, text) if is_whole else None)
    assert read.unreadable == (0 if is_whole or is_gone else 1)


def test_a_full_disk_leaves_no_half_line(tmp_path: Path) -> None:
    path = tmp_path / "outcomes.jsonl"
    append(path, Answer(0, "first"))
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    signals = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 10, limit[1]))
    try:
        with pytest.raises(EnvironmentMissing, match=r"outcomes\.jsonl"):
            append(path, Answer(1, "second that is too long"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, signals)
    append(path, Answer(2, "after"))
    read = read_outcomes(path, Answer)
    assert (sorted(read.outcomes), read.unreadable) == ([0, 2], 0)


def test_a_budget_is_checked_before_and_while() -> None:
    prices = Prices(input=1.0, output=3.0)
    budget = Budget(tokens=100, money=0.001, prices=prices)
    budget.require(SpendForecast(tasks=1, tokens=100, money=0.001))
    with pytest.raises(UsageError, match="the budget is 100"):
        budget.require(SpendForecast(tasks=1, tokens=101, money=0.0))
    with pytest.raises(UsageError, match="may cost"):
        budget.require(SpendForecast(tasks=1, tokens=1, money=1.0))
    with pytest.raises(UsageError, match="needs prices"):
        Budget(tokens=None, money=1.0, prices=Prices()).require(
            SpendForecast(tasks=1, tokens=1, money=0.0)
        )
    assert budget.exhausted(TokenUse(input_tokens=40, output_tokens=59)) is None
    assert budget.exhausted(TokenUse(input_tokens=40, output_tokens=60)) is StopReason.TOKENS
    money = Budget(tokens=None, money=0.001, prices=prices)
    assert money.exhausted(TokenUse(input_tokens=1000)) is StopReason.MONEY


def test_work_is_shared_out_in_order_and_stops() -> None:
    done: list[int] = []

    async def do(task: int) -> None:
        await asyncio.sleep(0)
        done.append(task)

    def stop() -> StopReason | None:
        return StopReason.TOKENS if len(done) >= 5 else None

    assert asyncio.run(work_off(range(4), do, concurrency=9, should_stop=stop)) is None
    assert sorted(done) == [0, 1, 2, 3]
    reason = asyncio.run(work_off(range(100), do, concurrency=2, should_stop=stop))
    assert reason is StopReason.TOKENS
    assert len(done) <= 7


def test_nothing_to_do() -> None:
    async def do(task: int) -> None:
        raise AssertionError

    assert asyncio.run(work_off([], do, concurrency=4, should_stop=lambda: None)) is None
