"""Money: of tokens, requests and months, and when one's own cards are cheaper than an API."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

HOURS_PER_MONTH = 730.0
DAYS_PER_MONTH = HOURS_PER_MONTH / 24
MILLION = 1e6
REDONE_SHARE = 0.05
"""Of spot hours, what is lost to interruptions and starting anew; a user's own figure wins."""


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """US dollars for one card and hour, in each way to pay."""

    on_demand: float
    spot: float | None = None
    reserved: float | None = None

    def usd_per_hour(self, billing: str, *, lost_share: float = REDONE_SHARE) -> float | None:
        """None where it has no such price. Spot pays for lost work too."""
        if billing == "spot":
            return None if self.spot is None else self.spot / (1 - lost_share)
        return self.on_demand if billing == "on-demand" else self.reserved


class Month(msgspec.Struct, frozen=True, kw_only=True):
    """A month of a traffic profile. `busy_share`: of the hours that are paid for."""

    usd: float
    device_hours: float
    busy_share: float
    requests: float


def usd_per_million(usd_per_hour: float, tokens_per_s: float) -> float:
    """Of tokens, when `usd_per_hour` buys them at that rate."""
    return usd_per_hour / 3600 / tokens_per_s * MILLION


def usd_per_request(usd_per_hour: float, requests_per_s: float) -> float:
    return usd_per_hour / 3600 / requests_per_s


def month(
    hourly_rates: Sequence[float],
    *,
    capacity_per_s: float,
    usd_per_hour: float,
    is_autoscaled: bool,
    headroom: float = 1.25,
) -> Month:
    """`hourly_rates`: requests a second in each hour of a day. A replica costs `usd_per_hour`.

    Without autoscaling the busiest hour decides for all of them.
    """
    needed = [max(1, -(-rate * headroom // capacity_per_s)) for rate in hourly_rates]
    if not is_autoscaled:
        needed = [max(needed)] * len(needed)
    hours = HOURS_PER_MONTH / len(needed)
    device_hours = sum(needed) * hours
    requests = sum(hourly_rates) * 3600 * hours
    return Month(
        usd=device_hours * usd_per_hour,
        device_hours=device_hours,
        busy_share=requests / (device_hours * 3600 * capacity_per_s),
        requests=requests,
    )


def break_even_share(
    usd_per_hour: float,
    *,
    tokens_per_s: float,
    api_usd_per_million: float,
) -> float:
    """Utilisation from which own cards are cheaper; above 1: never."""
    return usd_per_million(usd_per_hour, tokens_per_s) / api_usd_per_million
