"""The rate search finds a known limit, and the knee of a known curve."""

from __future__ import annotations

import msgspec
import pytest

from llmops_cli.bench.gate import judge_conditions, parse_gate
from llmops_cli.bench.report import (
    BenchReport,
    ClientStats,
    Level,
    Memory,
    SloResult,
    problems_of,
)
from llmops_cli.bench.saved import SavedRun
from llmops_cli.bench.search import RateSearch, judge, knee, requests_needed
from llmops_cli.bench.slo import parse_slos
from llmops_cli.core.report import Manifest
from llmops_cli.core.stats import Distribution, share_interval


def level(
    *,
    share: float = 1.0,
    count: int = 400,
    needed: float = 0.95,
    tokens: float = 1.0,
    e2e: float = 1.0,
) -> Level:
    hits = round(share * count)
    slo = SloResult(
        text="x",
        share=share,
        share_ci95=share_interval(hits, count),
        needed=needed,
        met=share >= needed,
    )
    empty = Distribution()
    return Level(
        concurrency=None,
        rate_per_s=1.0,
        label=f"{tokens:g}",
        requests=count,
        errors=0,
        duration_s=1,
        measured=count,
        ttft_ms=empty,
        tpot_ms=empty,
        itl_ms=empty,
        e2e_ms=Distribution(p50=e2e),
        requests_per_s=1,
        output_tokens_per_s=tokens,
        total_tokens_per_s=tokens,
        slos=[slo],
    )


@pytest.mark.parametrize("limit", [0.3, 1.0, 7.3, 42.0])
def test_the_search_ends_within_a_tenth_of_the_limit(limit: float) -> None:
    search = RateSearch(1.0)
    probes = 0
    while (rate := search.next_rate()) is not None:
        probes += 1
        found = level(share=1.0 if rate <= limit else 0.2)
        search.tell(rate, found, judge(found))
    assert search.passed is not None
    assert search.passed <= limit <= search.passed * 1.1001
    assert probes <= 12
    assert f"{search.passed:.4g} requests/s meets" in search.finding().text


def test_verdicts_have_the_confidence_that_the_count_allows() -> None:
    assert judge(level(share=1.0, count=400)) == "pass"
    assert judge(level(share=0.95, count=400)) == "unsure"
    assert judge(level(share=0.8, count=400)) == "fail"
    assert judge(level(share=1.0, count=20)) == "unsure"
    enough = requests_needed(parse_slos("ttft_p95=1s"))
    assert judge(level(share=1.0, count=enough)) == "pass"
    assert judge(level(share=1.0, count=enough - 5)) == "unsure"


def test_the_knee_is_where_power_is_highest() -> None:
    curve = [(10, 1.0), (19, 1.05), (36, 1.1), (60, 1.3), (66, 2.4), (68, 4.7)]
    assert knee([level(tokens=t, e2e=e) for t, e in curve]).knee == "60"
    rising = knee([level(tokens=t, e2e=1.0) for t in (1, 2, 4)])
    assert rising.knee is None
    assert "no knee up to 4" in rising.text
    assert knee([level(tokens=1)]).text == ""


def invalid_level(*, was_limit: bool) -> Level:
    found = level()
    return msgspec.structs.replace(
        found,
        rate_per_s=8.0,
        valid=False,
        invalid_reasons=["the client was late"],
        client=ClientStats(was_limit=was_limit),
    )


def searched(*, was_limit: bool, passes: bool) -> BenchReport:
    """A search whose rate of 8 is invalid, above one of 4 that may be proven."""
    search = RateSearch(4.0)
    levels = [msgspec.structs.replace(level(), rate_per_s=4.0)] if passes else []
    for good in levels:
        search.tell(4.0, good, judge(good))
    bad = invalid_level(was_limit=was_limit)
    search.tell(8.0, bad, judge(bad))
    assert search.next_rate() is None
    return BenchReport(
        manifest=Manifest(recipe={}),
        levels=[*levels, bad],
        memory=Memory(),
        finding=search.finding(),
    )


def test_a_search_that_ends_at_the_clients_limit_says_at_least_and_is_no_failure() -> None:
    report = searched(was_limit=True, passes=True)
    assert report.finding.text.startswith("at least 4 requests/s meets the objectives; at 8/s this")
    assert problems_of(report) == []


@pytest.mark.parametrize(("was_limit", "passes"), [(True, False), (False, True)])
def test_a_search_that_proved_nothing_or_met_another_flaw_is_invalid(
    was_limit: bool, passes: bool
) -> None:
    report = searched(was_limit=was_limit, passes=passes)
    assert "at least" not in report.finding.text
    assert [problem.text for problem in problems_of(report)] == ["1: the client was late"]


@pytest.mark.parametrize(("was_limit", "loads"), [(True, 1), (False, 2)])
def test_a_gate_judges_no_level_at_which_the_client_gave_out(was_limit: bool, loads: int) -> None:
    """Its latencies are the client's own."""
    report = searched(was_limit=was_limit, passes=True)
    run = SavedRun(name="search", report=report, requests=None)
    judged = judge_conditions(run, None, [parse_gate("error_rate > 1%")])
    assert len(judged) == loads
