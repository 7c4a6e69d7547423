"""What tokens cost."""

from __future__ import annotations

import pytest

from llmops_cli.gateway_file.config import GatewayConfig
from llmops_cli.gateway_file.model import (
    CanaryConfig,
    HybridConfig,
    ModelConfig,
    RuleConfig,
    ShadowConfig,
)
from llmops_cli.gateway_file.prices import public_price
from llmops_cli.gateway_file.pricing import unpriced
from llmops_cli.gateway_file.upstream import Price, UpstreamConfig


def test_prices_of_the_public_table() -> None:
    assert public_price("gpt-4o").per_token() == pytest.approx((2.5e-6, 10e-6))
    with pytest.raises(LookupError):
        public_price("no-such-model")


def test_a_price_by_the_hour() -> None:
    assert Price(gpu_hour=3.6, tokens_per_s=1000).per_token() == pytest.approx((1e-6, 1e-6))
    assert Price(input=0.5, output=1.5).per_token() == pytest.approx((0.5e-6, 1.5e-6))


def test_long_prompts_and_cached_tokens_have_the_tables_prices() -> None:
    """All of it was priced as a prompt of a million tokens, which is twice as dear for some."""
    rates = public_price("claude-sonnet-4-5").rates()
    assert rates.cost(1000, 1000) == pytest.approx((3 + 15) / 1000)
    assert rates.cost(1000, 0, cached_tokens=1000) == pytest.approx(0.3 / 1000)
    assert rates.cost(1000, 0, cache_write_tokens=1000) == pytest.approx(3.75 / 1000)
    assert rates.cost(200_000, 1000) == pytest.approx(0.6 + 0.015)
    assert rates.cost(200_001, 1000) == pytest.approx(200_001 * 6e-6 + 0.0225)
    assert rates.at_most(300_000, 1000) >= rates.cost(300_000, 1000)


PRICE = Price(input=0, output=0)


def config(**models: ModelConfig) -> GatewayConfig:
    names = ("free", "paid")
    prices = {"paid": PRICE}
    upstreams = {
        name: UpstreamConfig(url=f"http://127.0.0.1:9/{name}", price=prices.get(name))
        for name in names
    }
    return GatewayConfig(upstreams=upstreams, models=models)


@pytest.mark.parametrize(
    ("model", "found"),
    [
        (ModelConfig(pool=["paid"]), False),
        (ModelConfig(pool=["paid", "free"]), True),
        (ModelConfig(pool=["paid"], rules=[RuleConfig(use=["free"], longer_than=5)]), True),
        (ModelConfig(pool=["paid"], canary=CanaryConfig(use=["free"])), True),
        (ModelConfig(pool=["paid"], fallback=["b"]), True),
        (ModelConfig(pool=["paid"], hybrid=HybridConfig(small="b")), True),
        (ModelConfig(colours={"x": ["paid"], "y": ["free"]}, live="x"), True),
        (ModelConfig(pool=["paid"], shadow=ShadowConfig(use=["free"])), False),
    ],
)
def test_whoever_may_answer_needs_a_price(model: ModelConfig, found: bool) -> None:
    """A price of 0 is one; copies are nobody's cost."""
    models = {"a": model, "b": ModelConfig(pool=["free"])}
    assert bool(list(unpriced(config(**models), ["a"]))) == found
    assert list(unpriced(config(**models), []))
    assert list(unpriced(config(), []))


def test_sound_has_its_own_price_in_the_public_table() -> None:
    rates = public_price("gpt-audio").rates()
    assert rates.audio_input > 5 * rates.input
    assert rates.audio_output > 5 * rates.output
    plain = public_price("gpt-4o").rates()
    assert plain.audio_input == pytest.approx(plain.input)
