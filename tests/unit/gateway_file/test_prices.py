"""What tokens cost."""

from __future__ import annotations

import pytest

from llmops_cli.gateway_file.prices import public_price
from llmops_cli.gateway_file.upstream import Price


def test_prices_of_the_public_table() -> None:
    assert public_price("gpt-4o").per_token() == pytest.approx((2.5e-6, 10e-6))
    with pytest.raises(LookupError):
        public_price("no-such-model")


def test_a_price_by_the_hour() -> None:
    assert Price(gpu_hour=3.6, tokens_per_s=1000).per_token() == pytest.approx((1e-6, 1e-6))
    assert Price(input=0.5, output=1.5).per_token() == pytest.approx((0.5e-6, 1.5e-6))
