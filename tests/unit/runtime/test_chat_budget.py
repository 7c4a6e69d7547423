"""A budget's caps hold whatever comes back, in whatever order; a pace spreads evenly."""

from __future__ import annotations

import asyncio
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_cli.core.prices import Prices
from llmops_cli.runtime.chat_budget import BudgetSpent, ChatBudget, ChatCaps, Spend
from llmops_cli.runtime.chat_pace import Pace
from llmops_cli.runtime.chat_request import TokenBound
from llmops_cli.runtime.chat_sending import asked_wait_s

PRICES = Prices(input=1e6, output=1e6)
"""So that a token costs 1."""
REQUESTS = st.lists(
    st.tuples(st.integers(1, 20), st.integers(1, 20), st.floats(0, 1), st.integers(0, 3)),
    max_size=20,
)
"""Input, output at most, the share of it that was taken, and after how many turns."""
CAPS = st.builds(
    ChatCaps,
    requests=st.none() | st.integers(0, 10),
    tokens=st.none() | st.integers(0, 200),
    money=st.none() | st.integers(0, 200).map(float),
)


@given(CAPS, REQUESTS)
def test_no_cap_is_ever_passed(
    caps: ChatCaps,
    requests: list[tuple[int, int, float, int]],
) -> None:
    refused = 0

    async def one(budget: ChatBudget, size: tuple[int, int, float, int]) -> None:
        nonlocal refused
        given_tokens, answer_tokens, share, turns = size
        bound = TokenBound(given_tokens, answer_tokens)
        try:
            reserved = await budget.reserve(bound, PRICES)
        except BudgetSpent:
            refused += 1
            return
        for _ in range(turns):
            await asyncio.sleep(0)
        tokens = int(share * reserved.tokens)
        budget.settle(reserved, Spend(requests=1, tokens=tokens, money=float(tokens)))

    async def run() -> Spend:
        budget = ChatBudget(caps)
        await asyncio.gather(*(one(budget, size) for size in requests))
        return budget.spent

    spent = asyncio.run(run())
    assert spent.requests == len(requests) - refused
    assert caps.requests is None or spent.requests <= caps.requests
    assert caps.tokens is None or spent.tokens <= caps.tokens
    assert caps.money is None or spent.money <= caps.money
    if caps.requests is not None and caps.tokens is None and caps.money is None:
        assert spent.requests == min(caps.requests, len(requests))


def test_a_free_model_takes_no_money_beside_one_that_is_paid() -> None:
    async def run() -> Spend:
        budget = ChatBudget(ChatCaps(money=3.0), some_are_free=True)
        for bound, prices in [((1, 1), PRICES), ((50, 0), Prices()), ((900, 90), Prices())]:
            reserved = await budget.reserve(TokenBound(*bound), prices)
            budget.settle(reserved, reserved)
        with pytest.raises(BudgetSpent):
            await budget.reserve(TokenBound(1, 1), PRICES)
        return budget.spent

    spent = asyncio.run(run())
    assert (spent.requests, spent.money) == (3, 2.0)


def test_a_pace_spreads_requests_and_learns_what_they_take() -> None:
    async def run() -> float:
        pace = Pace(rate=None, tokens_per_min=60_000)
        start = time.monotonic()
        for _ in range(6):
            guess = await pace.turn(100)
            pace.settle(100, guess, 10)
        return time.monotonic() - start

    assert 0.03 <= asyncio.run(run()) < 0.3


def test_who_is_told_to_wait_holds_all() -> None:
    async def run() -> float:
        pace = Pace(rate=None, tokens_per_min=None)
        pace.hold(0.05)
        start = time.monotonic()
        await asyncio.gather(*(pace.turn(1) for _ in range(3)))
        return time.monotonic() - start

    assert asyncio.run(run()) >= 0.045


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "2"}, 2.0),
        ({"retry-after-ms": "20", "retry-after": "2"}, 0.02),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({}, None),
    ],
)
def test_a_wait_is_read_in_every_form(headers: dict[str, str], seconds: float | None) -> None:
    assert asked_wait_s(headers) == seconds
