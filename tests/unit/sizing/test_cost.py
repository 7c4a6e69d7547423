"""Money, by hand."""

from __future__ import annotations

import pytest

from llmops_cli.sizing.cost import Rates, break_even_share, month, usd_per_million, usd_per_request


def test_tokens_requests_and_break_even_by_hand() -> None:
    assert usd_per_million(3.6, 1000) == pytest.approx(1.0)
    assert usd_per_request(3.6, 0.5) == pytest.approx(0.002)
    assert break_even_share(3.6, tokens_per_s=1000, api_usd_per_million=4) == pytest.approx(0.25)


def test_spot_pays_for_lost_work_and_missing_prices_stay_missing() -> None:
    rates = Rates(on_demand=2.0, spot=0.9)
    assert rates.usd_per_hour("spot", lost_share=0.1) == pytest.approx(1.0)
    assert rates.usd_per_hour("reserved") is None
    assert rates.usd_per_hour("on-demand") == 2.0


def test_autoscaling_pays_for_the_hours_that_are_busy() -> None:
    profile = [1.0] * 12 + [9.0] * 12
    fixed = month(profile, capacity_per_s=10, usd_per_hour=1, is_autoscaled=False)
    scaled = month(profile, capacity_per_s=10, usd_per_hour=1, is_autoscaled=True)
    assert fixed.device_hours == pytest.approx(2 * 730)
    assert scaled.device_hours == pytest.approx(1.5 * 730)
    assert scaled.busy_share > fixed.busy_share
