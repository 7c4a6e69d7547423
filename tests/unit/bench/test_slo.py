"""Objectives: their grammar, and that a failed request misses every one."""

from __future__ import annotations

import pytest

from llmops_cli.bench.gate import parse_gate
from llmops_cli.bench.record import Record
from llmops_cli.bench.slo import parse_slos
from llmops_cli.core.errors import UsageError

MS = 1_000_000
OK = Record(
    index=0,
    intended_ns=0,
    sent_ns=0,
    first_ns=150 * MS,
    end_ns=550 * MS,
    done_ns=550 * MS,
    output_tokens=11,
)
FAILED = Record(index=0, intended_ns=0, sent_ns=0, done_ns=MS, error="HTTP 500: no")


def test_the_grammar() -> None:
    ttft, tpot, errors = parse_slos("ttft_p95=200ms, tpot_p50<=0.05s,error_rate=1%")
    assert (ttft.metric, ttft.share, ttft.limit_ms) == ("ttft_ms", 0.95, 200)
    assert (tpot.metric, tpot.share, tpot.limit_ms) == ("tpot_ms", 0.5, 50)
    assert (errors.metric, errors.share, errors.limit_ms) == ("error_rate", 0.99, None)


@pytest.mark.parametrize(
    ("text", "met"),
    [
        ("ttft_p95=150ms", True),
        ("ttft_p95=149ms", False),
        ("tpot_p99=40ms", True),
        ("tpot_p99=39", False),
        ("e2e_p50=0.55s", True),
        ("error_rate=5%", True),
    ],
)
def test_what_meets_an_objective(text: str, met: bool) -> None:
    (slo,) = parse_slos(text)
    assert slo.met_by(OK) is met
    assert not slo.met_by(FAILED)


@pytest.mark.parametrize(
    "text", ["ttft=200ms", "ttft_p95", "ttft_p0=1ms", "ttft_p95=5%", "error_rate=200%", "=3"]
)
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_slos(text)


def test_a_near_miss_gets_a_suggestion() -> None:
    with pytest.raises(UsageError) as caught:
        parse_slos("tfft_p95=200ms")
    assert caught.value.hint == "did you mean 'ttft'?"


def test_a_time_of_nothing_is_never_met() -> None:
    with pytest.raises(UsageError, match="is never met"):
        parse_slos("ttft_p95=0ms")


@pytest.mark.parametrize(
    "text", ["error_rate > 100%", "ttft_ms.p95 < 0ms", "ttft_ms.p95 < -100%", "error_rate < 0%"]
)
def test_a_gate_that_can_never_fail_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"can never tell anything|without a change"):
        parse_gate(text)
