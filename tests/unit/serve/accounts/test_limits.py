"""Whose limits a request is charged to, and what its client is told."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from llmops_cli.gateway_file.config import LimitsConfig, LimitSet
from llmops_cli.serve.accounts.charge import BucketState, Charge, LimitDecision
from llmops_cli.serve.accounts.keys import Key
from llmops_cli.serve.accounts.limits import Claim, Limits
from llmops_cli.serve.refusal import Refusal

KEY = Key(id="k", name="k", role="user", models=[], created=0.0, tokens_per_minute=500)
LIMITS = LimitsConfig(
    key=LimitSet(requests_per_minute=10, tokens_per_minute=9000),
    ip=LimitSet(requests_per_minute=20),
    models={"m": LimitSet(streams=3)},
)


class Scripted:
    """A limiter that refuses the charge with the given number."""

    def __init__(self, refused: int | None = None) -> None:
        self._refused = refused
        self.taken: list[Charge] = []
        self.back: list[Charge] = []

    async def take(self, charges: Sequence[Charge]) -> LimitDecision:
        self.taken += charges
        refused = None if self._refused is None else charges[self._refused]
        return LimitDecision(refused, [BucketState(4.0, 7.2) for _ in charges], "lease")

    async def give_back(self, charges: Sequence[Charge], lease: str = "") -> None:
        assert lease == "lease"
        self.back += charges


def taken(limiter: Scripted, ip: str = "10.0.0.1", model: str = "m") -> tuple[Claim, list[object]]:
    claim, headers = asyncio.run(Limits(limiter, LIMITS).take(KEY, ip, model, 50))
    return claim, list(headers)


def test_the_keys_own_limit_comes_before_the_files() -> None:
    limiter = Scripted()
    taken(limiter)
    assert limiter.taken == [
        Charge("key:k", "requests", 10, 1.0),
        Charge("key:k", "tokens", 500, 50.0),
        Charge("ip:10.0.0.1", "requests", 20, 1.0),
        Charge("model:m", "streams", 3, 1.0),
    ]


def test_one_client_has_a_whole_network_of_ipv6() -> None:
    limiter = Scripted()
    taken(limiter, ip="2001:db8::1%eth0", model="other")
    assert limiter.taken[-1].subject == "ip:2001:db8::/64"


def test_clients_are_told_where_their_key_stands() -> None:
    _, headers = taken(Scripted())
    assert headers == [
        (b"x-ratelimit-limit-requests", b"10"),
        (b"x-ratelimit-remaining-requests", b"4"),
        (b"x-ratelimit-reset-requests", b"36.0s"),
        (b"x-ratelimit-limit-tokens", b"500"),
        (b"x-ratelimit-remaining-tokens", b"4"),
        (b"x-ratelimit-reset-tokens", b"59.5s"),
    ]


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (0, "the key has reached its limit of 10 requests a minute"),
        (1, "the key has reached its limit of 500 tokens a minute"),
        (2, "your address has reached its limit of 20 requests a minute"),
        (3, "the model has reached its limit of 3 requests at once"),
    ],
)
def test_a_refusal_names_the_limit_and_the_wait(number: int, message: str) -> None:
    with pytest.raises(Refusal) as refused:
        taken(Scripted(number))
    assert refused.value.message == message
    assert (b"retry-after", b"8") in refused.value.headers


def test_what_was_not_used_is_given_back() -> None:
    limiter = Scripted()
    claim, _ = taken(limiter)
    asyncio.run(Limits(limiter, LIMITS).settle(claim, 20))
    assert limiter.back == [
        Charge("key:k", "tokens", 500, 30.0),
        Charge("model:m", "streams", 3, 1.0),
    ]


def test_a_request_that_nobody_answered_was_none() -> None:
    limiter = Scripted()
    claim, _ = taken(limiter)
    asyncio.run(Limits(limiter, LIMITS).settle(claim, 50, failed=True))
    assert [charge.kind for charge in limiter.back] == ["requests", "requests", "streams"]
