"""A month's cost: profiles, ways to pay, APIs, and from where on own cards are cheaper."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from llmops_cli.core.errors import UsageError
from llmops_cli.plan.money import CostReport, CostRow, plan_month
from llmops_cli.plan.profile import read_profile
from llmops_cli.plan.recipe import PlanRecipe

API = "groq/llama-3.1-8b-instant"


def _month(
    traffic: Path | None = None,
    *,
    requests_per_day: float | None = 50_000.0,
    lost_share: float = 0.05,
    reserved_usd: float | None = None,
    apis: tuple[str, ...] = (),
    **wishes: object,
) -> CostReport:
    asked = {"model": "llama-3.1-8b", "gpu": "h100", **wishes}
    return plan_month(
        PlanRecipe(**asked),  # type: ignore[arg-type]
        traffic=traffic,
        requests_per_day=requests_per_day if traffic is None else None,
        lost_share=lost_share,
        reserved_usd=reserved_usd,
        apis=apis,
    )


def _row(report: CostReport, name: str) -> CostRow:
    return next(row for row in report.rows if row.name == name)


def test_one_card_for_a_month_by_hand() -> None:
    """730 hours at 1.99 USD; 50,000 x 365 / 12 requests."""
    row = _row(_month(apis=(API,)), "on demand, always on")
    assert row.usd_per_month.number == pytest.approx(730 * 1.99)
    requests = 50_000 * 365 / 12
    assert row.usd_per_thousand_requests.number == pytest.approx(730 * 1.99 / requests * 1000)


def test_spot_pays_for_lost_work_and_reserved_is_as_told() -> None:
    report = _month(apis=(API,), lost_share=0.2, reserved_usd=1.5)
    assert _row(report, "spot, by the hour").usd_per_month.number == pytest.approx(730 * 1.0 / 0.8)
    assert _row(report, "reserved").usd_per_month.number == pytest.approx(730 * 1.5)
    unknown = _row(_month(apis=(API,)), "reserved").usd_per_month
    assert unknown.value is None
    assert "--reserved-price" in unknown.formula


def test_break_even_is_where_both_cost_the_same() -> None:
    """At so many requests a day the API takes as much as a card on demand."""
    pytest.importorskip("genai_prices")
    at = _row(_month(apis=(API,)), API).break_even_per_day
    assert at is not None
    report = _month(apis=(API,), requests_per_day=at)
    assert _row(report, API).usd_per_month.number == pytest.approx(730 * 1.99, rel=1e-6)


def test_the_cheapest_apis_of_the_model_are_found_without_asking() -> None:
    pytest.importorskip("genai_prices")
    names = [row.name for row in _month().rows[4:]]
    assert names
    assert all("llama-3.1-8b" in name.lower() for name in names)
    costs = [row.usd_per_month.number for row in _month().rows[4:]]
    assert costs == sorted(costs)


def test_scaling_by_the_hour_saves_where_hours_differ(tmp_path: Path) -> None:
    path = tmp_path / "day.yaml"
    path.write_text(f"[{', '.join(['1000'] * 12 + ['60000'] * 12)}]")
    report = _month(path, apis=(API,))
    fixed = _row(report, "on demand, always on").usd_per_month.number
    scaled = _row(report, "on demand, by the hour").usd_per_month.number
    assert scaled < fixed
    assert report.requests_per_day == pytest.approx(12 * 61_000)


def test_a_trace_tells_rates_and_lengths(tmp_path: Path) -> None:
    """Two hours of a request every ten seconds, in milliseconds."""
    path = tmp_path / "trace.jsonl"
    rows = []
    for number in range(721):
        row = {"timestamp": number * 10_000, "input_length": 900, "output_length": 100}
        rows.append(json.dumps(row))
    path.write_text("\n".join(rows))
    profile = read_profile(path)
    assert profile.hourly_rates == pytest.approx((0.1, 0.1))
    assert "of 900 + 100 tokens" in _month(path, apis=(API,)).title


def test_a_table_with_dates_is_a_trace(tmp_path: Path) -> None:
    path = tmp_path / "azure.csv"
    path.write_text(
        "TIMESTAMP,ContextTokens,GeneratedTokens\n"
        "2023-11-16 18:15:46.6805900,374,44\n"
        "2023-11-16 18:15:50.9951690,396,109\n"
    )
    profile = read_profile(path)
    assert profile.prompt_tokens == 385
    assert profile.hourly_rates == pytest.approx((2 / 4.31458,), rel=1e-4)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.yaml", "{a: 1}", "no list"),
        ("a.yaml", "[1, -2]", "hours without"),
        ("a.yaml", "[0, 0]", "hours without"),
        ("a.yaml", "[.nan]", "hours without"),
        ("a.yaml", "[", "no list"),
        ("a.yaml", "[]", "0 hours"),
        ("a.csv", "", "no requests"),
        ("a.csv", "when,what\n1,2\n", "no timestamp"),
        ("a.jsonl", "[1]\n", "no JSON object"),
        ("a.jsonl", '{"timestamp": "soon"}\n', "no timestamp"),
        ("a.jsonl", '{"timestamp": 0}\n{"timestamp": 1e15}\n', "longer than a year"),
        ("a.csv", "\xff\xfe", "no text"),
    ],
)
def test_a_bad_profile_is_one_line(tmp_path: Path, name: str, text: str, said: str) -> None:
    path = tmp_path / name
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UsageError, match=said) as caught:
        read_profile(path)
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("wishes", "said"),
    [
        ({"requests_per_day": None}, "needs its traffic"),
        ({"requests_per_day": 0.0}, "no traffic"),
        ({"requests_per_day": float("nan")}, "no traffic"),
        ({"apis": ("groq/none",)}, "no price of"),
        ({"slo": "tpot=1ms"}, "slower than the limits"),
        ({"model": "llama-3.1-405b", "gpus": 1}, "does not fit"),
    ],
)
def test_what_has_no_cost_is_one_line(wishes: dict[str, object], said: str) -> None:
    pytest.importorskip("genai_prices")
    with pytest.raises(UsageError, match=said):
        _month(**wishes)  # type: ignore[arg-type]
