"""Load on a server whose truth is known: laws of closed and open loops."""

from __future__ import annotations

import math

import pytest

from llmops_cli.sizing.queueing import Service, closed_loop, curve, knee, open_loop, rate_within


def _service(**wishes: object) -> Service:
    asked = {
        "prefill_s": 0.05,
        "output_tokens": 100.0,
        "slots": 32,
        "step_s": lambda streams: 0.01 + 0.0005 * streams,
        **wishes,
    }
    return Service(**asked)  # type: ignore[arg-type]


def test_one_client_waits_for_nobody() -> None:
    found = closed_loop(_service(), 1)
    assert found.ttft_s == pytest.approx(0.05 + 0.0105)
    assert found.requests_per_s == pytest.approx(1 / (0.05 + 100 * 0.0105))


def test_a_closed_loop_obeys_littles_law() -> None:
    """Clients = rate x (time to the first token + the rest), also beyond the slots."""
    for clients in (1, 4, 32, 100):
        found = closed_loop(_service(), clients)
        life_s = found.ttft_s + 100 * found.tpot_s
        assert clients == pytest.approx(found.requests_per_s * life_s, rel=0.05)


def test_clients_beyond_the_slots_wait_and_give_nothing_more() -> None:
    full = closed_loop(_service(), 32)
    over = closed_loop(_service(), 64)
    assert over.tokens_per_s == full.tokens_per_s
    assert over.ttft_s > full.ttft_s + 0.9 * 32 / full.requests_per_s


def test_an_open_loop_slows_as_it_fills_and_breaks_beyond_its_capacity() -> None:
    service = _service()
    rates = [service.capacity_per_s * share for share in (0.1, 0.5, 0.9)]
    waits = [open_loop(service, rate).ttft_s for rate in rates]
    assert waits == sorted(waits)
    broken = open_loop(service, service.capacity_per_s * 1.1)
    assert not broken.is_stable
    assert math.isinf(broken.ttft_s)


def test_a_rate_within_limits_meets_them_and_hardly_a_higher_one() -> None:
    service = _service()
    found = rate_within(service, ttft_s=0.12, tpot_s=0.03)
    assert open_loop(service, found).ttft_s <= 0.12
    above = open_loop(service, found * 1.05)
    assert above.ttft_s > 0.12 or above.tpot_s > 0.03
    assert rate_within(service, ttft_s=0.001, tpot_s=1) == pytest.approx(0, abs=1e-6)


def test_the_knee_of_a_step_that_never_grows_is_its_end() -> None:
    flat = _service(prefill_s=0.0, step_s=lambda _: 0.01)
    assert knee(curve(flat)).streams == 32
    steep = _service(prefill_s=0.0, step_s=lambda streams: 0.01 * streams)
    assert knee(curve(steep)).streams == 1
