"""The rate search finds a known limit, and the knee of a known curve."""

from __future__ import annotations

import pytest

from llmops_cli.bench.report import Level, SloResult
from llmops_cli.bench.search import RateSearch, judge, knee, requests_needed
from llmops_cli.bench.slo import parse_slos
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
