"""Whether an upstream may be asked: its breaker and its checks."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from llmops_cli.gateway_file.upstream import UpstreamConfig
from llmops_cli.serve.upstreams.breaker import Breaker
from llmops_cli.serve.upstreams.outcome import Outcome
from llmops_cli.serve.upstreams.queues import Queues
from llmops_cli.serve.upstreams.slot import UpstreamSlot
from llmops_cli.serve.upstreams.upstream import Upstream


@given(
    outcomes=st.lists(
        st.tuples(st.floats(0, 5), st.sampled_from(["good", "bad", "broken", "left"])), max_size=200
    )
)
def test_a_breaker_always_lets_somebody_try_again(outcomes: list[tuple[float, str]]) -> None:
    now = [0.0]
    breaker = Breaker(now=lambda: now[0], seed=1)
    for wait_s, outcome in outcomes:
        now[0] += wait_s
        if breaker.allows():
            _end(breaker, outcome)
    now[0] += 100.0
    assert breaker.allows()
    _end(breaker, "good")
    assert breaker.state == "closed"


def _end(breaker: Breaker, outcome: str) -> None:
    """One request, from its beginning."""
    probe = breaker.begin()
    if outcome == "good":
        breaker.answered(probe=probe)
        breaker.ended_well()
    elif outcome == "broken":
        breaker.answered(probe=probe)
        breaker.failed(begun=True)
    elif outcome == "bad":
        breaker.failed(probe=probe)
    elif probe:
        breaker.undecided()


def test_a_breaker_opens_probes_once_and_closes() -> None:
    now = [0.0]
    breaker = Breaker(now=lambda: now[0], seed=1)
    for _ in range(5):
        assert breaker.allows()
        _end(breaker, "bad")
    assert (breaker.state, breaker.allows()) == ("open", False)
    now[0] += 2.0
    assert breaker.allows()
    assert breaker.begin()
    assert not breaker.allows(), "one probe at a time"
    breaker.failed(probe=True)
    now[0] += 1.3
    assert not breaker.allows(), "the pause has doubled"
    now[0] += 2.0
    _end(breaker, "good")
    assert (breaker.state, breaker.allows()) == ("closed", True)


def test_half_of_many_opens_a_breaker_too() -> None:
    breaker = Breaker(now=lambda: 0.0)
    for i in range(20):
        assert breaker.state == "closed"
        _end(breaker, "bad" if i % 2 else "good")
    assert breaker.state == "open"


def test_answers_that_break_off_in_a_row_open_a_breaker() -> None:
    breaker = Breaker(now=lambda: 0.0)
    for _ in range(5):
        assert breaker.state == "closed"
        _end(breaker, "broken")
    assert breaker.state == "open"


def test_a_probe_that_breaks_off_opens_it_again() -> None:
    now = [0.0]
    breaker = Breaker(now=lambda: now[0], seed=1)
    for _ in range(5):
        _end(breaker, "bad")
    now[0] += 2.0
    assert breaker.begin()
    breaker.answered(probe=True)
    assert breaker.state == "closed", "others need not wait for the end of a long stream"
    breaker.failed(begun=True)
    assert breaker.state == "open"


def test_only_the_probe_decides_and_one_that_its_client_ends_is_no_obstacle() -> None:
    upstream = Upstream("x", UpstreamConfig(url="http://127.0.0.1:9"), "http://127.0.0.1:9")
    now = [0.0]
    upstream.breaker = Breaker(now=lambda: now[0], seed=1)
    queues = Queues()
    old = UpstreamSlot(upstream, 1, queues)
    for _ in range(5):
        UpstreamSlot(upstream, 1, queues).end(Outcome.BAD)
    now[0] += 2.0
    for _ in range(3):
        assert upstream.breaker.allows()
        UpstreamSlot(upstream, 1, queues).end(Outcome.NOTHING)
    probe = UpstreamSlot(upstream, 1, queues)
    old.end(Outcome.BAD)
    assert upstream.breaker.state == "half open", "what was asked before says no more"
    probe.answered()
    assert upstream.breaker.state == "closed"
    probe.end(Outcome.GOOD)
    assert (upstream.in_flight, upstream.outstanding) == (0, 0)


def test_one_client_s_failures_are_its_own_while_others_are_answered() -> None:
    now = [0.0]
    breaker = Breaker(now=lambda: now[0], seed=1)
    for i in range(200):
        now[0] += 0.05
        breaker.begin()
        if i % 40 == 0:
            breaker.answered("honest")
            breaker.ended_well()
        else:
            breaker.failed("hostile")
        assert breaker.state == "closed", i
    now[0] += Breaker.WINDOW_S + 1
    breaker.failed("hostile")
    assert breaker.state == "open", "nobody else has been answered lately"
    breaker = Breaker(now=lambda: now[0], seed=1)
    breaker.answered("honest")
    for who in ("a", "b", "a", "b", "a"):
        breaker.failed(who)
    assert breaker.state == "open", "it fails for several"


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
