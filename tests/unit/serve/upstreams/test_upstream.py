"""Whether an upstream may be asked: its breaker and its checks."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from llmops_cli.gateway_file.upstream import UpstreamConfig
from llmops_cli.serve.upstreams.breaker import Breaker
from llmops_cli.serve.upstreams.upstream import Upstream


@given(
    outcomes=st.lists(
        st.tuples(st.floats(0, 5), st.sampled_from(["good", "bad", "left"])), max_size=200
    )
)
def test_a_breaker_always_lets_somebody_try_again(outcomes: list[tuple[float, str]]) -> None:
    now = [0.0]
    breaker = Breaker(now=lambda: now[0], seed=1)
    for wait_s, outcome in outcomes:
        now[0] += wait_s
        if breaker.allows():
            breaker.begin()
            {"good": breaker.succeeded, "bad": breaker.failed, "left": breaker.undecided}[outcome]()
    now[0] += 100.0
    assert breaker.allows()
    breaker.begin()
    breaker.succeeded()
    assert breaker.state == "closed"


def test_a_breaker_opens_probes_once_and_closes() -> None:
    now = [0.0]
    breaker = Breaker(now=lambda: now[0], seed=1)
    for _ in range(5):
        assert breaker.allows()
        breaker.begin()
        breaker.failed()
    assert (breaker.state, breaker.allows()) == ("open", False)
    now[0] += 2.0
    assert breaker.allows()
    breaker.begin()
    assert not breaker.allows(), "one probe at a time"
    breaker.failed()
    now[0] += 1.3
    assert not breaker.allows(), "the pause has doubled"
    now[0] += 2.0
    breaker.begin()
    breaker.succeeded()
    assert (breaker.state, breaker.allows()) == ("closed", True)


def test_half_of_many_opens_a_breaker_too() -> None:
    breaker = Breaker(now=lambda: 0.0)
    for i in range(20):
        assert breaker.state == "closed"
        (breaker.failed if i % 2 else breaker.succeeded)()
    assert breaker.state == "open"


def test_checks_that_are_late_do_not_kill_who_answers() -> None:
    """Three missed checks, with a byte to somebody in between, are no reason to give an upstream
    up.
    """

    async def go(*, alive: bool) -> bool:
        upstream = Upstream("x", UpstreamConfig(url="http://127.0.0.1:9"), "http://127.0.0.1:9")
        fell: list[Upstream] = []
        for _ in range(4):
            if alive:
                upstream.alive()
                upstream._last_byte += 60
            await upstream._look(fell.append)
        await upstream.close()
        return bool(fell)

    assert asyncio.run(go(alive=False)) is True
    assert asyncio.run(go(alive=True)) is False
