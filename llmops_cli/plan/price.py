"""What the cards cost, and a million tokens from them."""

from __future__ import annotations

from llmops_cli.plan.setting import Setting
from llmops_cli.sizing.cost import Rates, usd_per_million
from llmops_cli.sizing.figures import Figure, missing


def usd_per_hour(setting: Setting) -> float | None:
    """Of all cards; None where no price is known or given."""
    price = setting.place.gpu.facts.price
    devices = setting.place.devices
    if setting.recipe.price is not None:
        return setting.recipe.price * devices
    if price is None:
        return None
    rates = Rates(on_demand=price.usd_per_hour, spot=price.spot_usd_per_hour)
    each = rates.usd_per_hour(setting.recipe.billing)
    return None if each is None else each * devices


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
