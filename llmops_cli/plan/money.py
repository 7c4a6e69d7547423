"""A month of a traffic profile on one's own cards, in each way to pay, beside what APIs take."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from llmops_cli.core.errors import EnvironmentMissing, UsageError
from llmops_cli.plan.api_prices import ApiOffer, offers_named, offers_of
from llmops_cli.plan.layouts import choose
from llmops_cli.plan.price import rates_of
from llmops_cli.plan.profile import HOUR_S, Profile, profile_of
from llmops_cli.plan.recipe import PlanRecipe
from llmops_cli.plan.service import service_of
from llmops_cli.plan.setting import Setting, title_of
from llmops_cli.sizing.cost import DAYS_PER_MONTH, Month, month
from llmops_cli.sizing.figures import Figure, counted, missing
from llmops_cli.sizing.queueing import rate_within

THOUSAND = 1000


class CostWish(msgspec.Struct, frozen=True, kw_only=True):
    """`lost_share`: of spot hours; `reserved_usd`: a card and hour, paid whether used or not."""

    profile: Profile
    lost_share: float
    reserved_usd: float | None = None
    apis: tuple[str, ...] = ()


class CostRow(msgspec.Struct, frozen=True, kw_only=True):
    """One way to have the traffic answered. `busy_share`: of what is paid for, what is used.

    break_even_per_day: requests from which own cards on demand are cheaper than this API; None:
    never, or not asked.
    """

    name: str
    usd_per_month: Figure
    usd_per_thousand_requests: Figure
    replica_hours: float | None = None
    busy_share: float | None = None
    break_even_share: float | None = None
    break_even_per_day: float | None = None


class CostReport(msgspec.Struct, frozen=True, kw_only=True):
    """Own ways first. capacity: requests a second of one replica within the limits."""

    title: str
    cards_per_replica: int
    requests_per_day: float
    capacity_per_s: Figure
    rows: tuple[CostRow, ...]
    notes: tuple[str, ...]


def plan_month(
    recipe: PlanRecipe,
    *,
    traffic: Path | None,
    requests_per_day: float | None,
    lost_share: float,
    reserved_usd: float | None,
    apis: tuple[str, ...] = (),
) -> CostReport:
    """Raises: UsageError for a profile that is none, and as below."""
    profile = profile_of(traffic=traffic, requests_per_day=requests_per_day)
    if profile.prompt_tokens is not None and profile.output_tokens is not None:
        answer = max(1, round(profile.output_tokens))
        context = max(1, round(profile.prompt_tokens)) + answer
        recipe = msgspec.structs.replace(recipe, context=context, output_tokens=answer)
    wish = CostWish(
        profile=profile,
        lost_share=lost_share,
        reserved_usd=reserved_usd,
        apis=apis,
    )
    return _cost_report(recipe, wish)


def _cost_report(recipe: PlanRecipe, wish: CostWish) -> CostReport:
    """Raises: UsageError for a model that does not fit, or meets no limit."""
    setting = choose(recipe).setting
    if not setting.can_run:
        raise UsageError("it does not fit, so it costs nothing", hint="llmops plan layouts")
    capacity = _capacity(setting)
    if capacity.number <= 0:
        raise UsageError(
            "even one request alone is slower than the limits", hint="a faster card, or other --slo"
        )
    offers, notes = _offers(setting, wish.apis)
    own = list(_own_rows(setting, wish, capacity))
    apis = [_api_row(offer, setting, wish, capacity) for offer in offers]
    return CostReport(
        title=(
            f"{wish.profile.requests_per_day:,.0f} requests a day of {setting.prompt_tokens} + "
            f"{setting.output_tokens} tokens: {title_of(setting)}"
        ),
        cards_per_replica=setting.place.devices,
        requests_per_day=wish.profile.requests_per_day,
        capacity_per_s=capacity,
        rows=(*own, *apis),
        notes=(*notes, *_unpriced(own), *_conclusion(own, apis)),
    )


def _capacity(setting: Setting) -> Figure:
    fix = setting.correction("batch")
    limits = setting.limits
    best = rate_within(service_of(setting), ttft_s=limits.ttft_s, tpot_s=limits.tpot_s)
    return Figure(
        value=best,
        low=best * math.exp(-fix.spread),
        high=best * math.exp(fix.spread),
        formula="the highest rate whose means stay within the limits, of one replica",
        source=fix.source,
    )


def _own_rows(setting: Setting, wish: CostWish, capacity: Figure) -> Iterator[CostRow]:
    rates = rates_of(setting, reserved_usd=wish.reserved_usd)
    ways = (
        ("on demand, always on", "on-demand", False),
        ("on demand, by the hour", "on-demand", True),
        ("spot, by the hour", "spot", True),
        ("reserved", "reserved", False),
    )
    for name, billing, is_autoscaled in ways:
        usd = None
        if rates is not None:
            usd = rates.usd_per_hour(billing, lost_share=wish.lost_share)
        if usd is None:
            none = missing(_no_price(billing))
            yield CostRow(name=name, usd_per_month=none, usd_per_thousand_requests=none)
            continue
        usd_per_hour = usd * setting.place.devices
        whole = _spent(wish.profile, capacity, usd_per_hour, is_autoscaled=is_autoscaled)
        yield msgspec.structs.replace(whole, name=name)


def _no_price(billing: str) -> str:
    hints = {"reserved": "--reserved-price", "spot": "a --gpu-file with spot_usd_per_hour"}
    return f"no {billing} price of this card is known: {hints.get(billing, '--price')}"


def _spent(
    profile: Profile,
    capacity: Figure,
    usd_per_hour: float,
    *,
    is_autoscaled: bool,
) -> CostRow:
    """`usd_per_hour`: of a replica."""

    def spent(capacity_per_s: float) -> Month:
        return month(
            profile.hourly_rates,
            capacity_per_s=capacity_per_s,
            usd_per_hour=usd_per_hour,
            is_autoscaled=is_autoscaled,
        )

    assert capacity.low is not None
    assert capacity.high is not None
    value = spent(capacity.number)
    whole = Figure(
        value=value.usd,
        low=spent(float(capacity.high)).usd,
        high=spent(float(capacity.low)).usd,
        formula=f"replicas by hour (a quarter kept free) x {usd_per_hour:.4g} USD an hour",
        source=capacity.source,
    )
    return CostRow(
        name="",
        usd_per_month=whole,
        usd_per_thousand_requests=_scaled(whole, THOUSAND / value.requests),
        replica_hours=value.device_hours,
        busy_share=value.busy_share,
    )


def _scaled(figure: Figure, factor: float) -> Figure:
    assert figure.low is not None
    assert figure.high is not None
    return msgspec.structs.replace(
        figure,
        value=figure.number * factor,
        low=float(figure.low) * factor,
        high=float(figure.high) * factor,
    )


def _api_row(offer: ApiOffer, setting: Setting, wish: CostWish, capacity: Figure) -> CostRow:
    requests = wish.profile.requests_per_day * DAYS_PER_MONTH
    tokens = f"{setting.prompt_tokens} + {setting.output_tokens} tokens a request"
    rates = rates_of(setting, reserved_usd=None)
    usd = None if rates is None else rates.on_demand * setting.place.devices
    share = None
    per_day = None
    if usd is not None:
        share = usd / (offer.usd_per_request * capacity.number * HOUR_S)
        per_day = 24 * usd / offer.usd_per_request if share <= 1 else None
    return CostRow(
        name=offer.name,
        usd_per_month=counted(offer.usd_per_request * requests, tokens, offer.source),
        usd_per_thousand_requests=counted(offer.usd_per_request * THOUSAND, tokens, offer.source),
        break_even_share=share,
        break_even_per_day=per_day,
    )


def _offers(
    setting: Setting,
    names: Sequence[str],
) -> tuple[tuple[ApiOffer, ...], tuple[str, ...]]:
    """Those asked for, else those of the model's name, with a note where there are none."""
    lengths = {"prompt_tokens": setting.prompt_tokens, "output_tokens": setting.output_tokens}
    if names:
        return offers_named(names, **lengths), ()
    try:
        found = offers_of(setting.load.name, **lengths)
    except EnvironmentMissing as error:
        return (), (f"{error.message}: {error.hint}",)
    if not found:
        return (), (f"no API lists '{setting.load.name}': --api PROVIDER/MODEL",)
    return found, ()


def _unpriced(own: Sequence[CostRow]) -> Iterator[str]:
    """What is missing for a row, each reason once."""
    reasons = [row.usd_per_month.formula for row in own if row.usd_per_month.value is None]
    yield from dict.fromkeys(reasons)


def _conclusion(own: Sequence[CostRow], apis: Sequence[CostRow]) -> Iterator[str]:
    """Which is cheapest, and whether the band of our own figure leaves that open."""
    priced = [row for row in own if row.usd_per_month.value is not None]
    if not priced or not apis:
        return
    ours = min(priced, key=lambda row: row.usd_per_month.number)
    theirs = min(apis, key=lambda row: row.usd_per_month.number)
    low = float(ours.usd_per_month.low or 0.0)
    high = float(ours.usd_per_month.high or 0.0)
    price = theirs.usd_per_month.number
    if high < price:
        yield f"own cards ({ours.name}) are cheaper than {theirs.name}, the cheapest API"
    elif low > price:
        yield f"{theirs.name} is cheaper than own cards ({ours.name})"
    else:
        yield f"own cards ({ours.name}) and {theirs.name} are alike within our band"
