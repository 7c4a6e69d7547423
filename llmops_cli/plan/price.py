"""What the cards cost, and a million tokens from them."""

from __future__ import annotations

from llmops_cli.plan.setting import Setting
from llmops_cli.sizing.cost import Rates, usd_per_million
from llmops_cli.sizing.figures import Figure, missing
from llmops_cli.sizing.gpu_facts import Price


def usd_per_hour(setting: Setting) -> float | None:
    """Of all cards; None where no price is known or given."""
    devices = setting.place.devices
    if setting.recipe.price is not None:
        return setting.recipe.price * devices
    rates = rates_of(setting, reserved_usd=None)
    each = None if rates is None else rates.usd_per_hour(setting.recipe.billing)
    return None if each is None else each * devices


def rates_of(setting: Setting, *, reserved_usd: float | None) -> Rates | None:
    """Of one card; `--price` stands for its price on demand."""
    price = setting.place.gpu.facts.price
    on_demand = setting.recipe.price
    if on_demand is None and price is not None:
        on_demand = price.usd_per_hour
    if on_demand is None:
        return None
    return Rates(
        on_demand=on_demand,
        spot=None if price is None else price.spot_usd_per_hour,
        reserved=_reserved(price, reserved_usd),
    )


def _reserved(price: Price | None, told: float | None) -> float | None:
    if told is not None or price is None:
        return told
    return price.reserved_usd_per_hour


def cost_figure(throughput: Figure, usd: float | None) -> Figure:
    """Of output tokens, prompts paid for by them."""
    if usd is None:
        return missing("no price of this card is known: --price, or --gpu-file")
    assert throughput.low is not None
    assert throughput.high is not None
    return Figure(
        value=usd_per_million(usd, throughput.number),
        low=usd_per_million(usd, float(throughput.high)),
        high=usd_per_million(usd, float(throughput.low)),
        formula=f"{usd:g} USD an hour / throughput",
        source="price of the card",
    )
