"""Alerts on what was promised and is spent: failures, times, and a month's money."""

from __future__ import annotations

from llmops_cli.deploy.monitoring.alert import Alert, Series
from llmops_cli.deploy.monitoring.recording import quantile_name, share_name
from llmops_cli.deploy.recipe import RenderRecipe

MONTH_HOURS = 730
MOST_SHARE = 0.9
"""Of failures that nobody is told of, however many an SLO allows."""


def error_alerts(recipe: RenderRecipe) -> list[Alert]:
    """The SLO by two windows each: fast burns are told soon, slow ones before the month is over."""
    allowed = recipe.slo_errors / 100
    fast = min(14.4 * allowed, MOST_SHARE)
    slow = min(6 * allowed, MOST_SHARE)
    share = min(max(5 * allowed, 0.05), MOST_SHARE)
    fails, fine = _shares(share, 60)
    burns_fast, lasts = _shares(fast, 90)
    burns_slow, lasts_long = _shares(slow, 500)
    return [
        Alert(
            name="LlmopsErrorShare",
            expr=f"{share_name('5m')} > {share:g}",
            wait="5m",
            severity="page",
            summary="Of all requests, so many fail",
            runbook="error-share",
            fires=fails,
            silent=fine,
        ),
        Alert(
            name="LlmopsSloBurnFast",
            expr=f"{share_name('1h')} > {fast:g} and {share_name('5m')} > {fast:g}",
            wait="2m",
            severity="page",
            summary="Two percent of a month's failures are used up in an hour",
            runbook="slo-burn",
            fires=burns_fast,
            silent=lasts,
            at="80m",
        ),
        Alert(
            name="LlmopsSloBurnSlow",
            expr=f"{share_name('6h')} > {slow:g} and {share_name('30m')} > {slow:g}",
            wait="15m",
            severity="ticket",
            summary="Five percent of a month's failures are used up in six hours",
            runbook="slo-burn",
            fires=burns_slow,
            silent=lasts_long,
            at="450m",
        ),
    ]


def _requests(failing: float, minutes: int) -> Series:
    """A hundred a minute, of which a share fails."""
    route = 'llmops_gateway_requests_total{route="/v1/chat/completions"'
    fails = 100 * failing
    return (
        (f'{route},status="502"}}', f"0+{fails:.9f}x{minutes}"),
        (f'{route},status="200"}}', f"0+{100 - fails:.9f}x{minutes}"),
    )


def _shares(limit: float, minutes: int) -> tuple[Series, Series]:
    """Half way from the limit to all, and a quarter of the limit."""
    return _requests((1 + limit) / 2, minutes), _requests(limit / 4, minutes)


def latency_alerts(recipe: RenderRecipe) -> list[Alert]:
    limits = {
        "Ttft": ("ttft", recipe.slo_ttft_s, ""),
        "Tpot": ("tpot", recipe.slo_tpot_s, ""),
        "E2e": ("request", recipe.slo_e2e_s, ',class="2xx"'),
    }
    found = []
    for word, (histogram, most_s, extra) in limits.items():
        fires, silent = _times(histogram, most_s=most_s, extra=extra)
        found.append(
            Alert(
                name=f"Llmops{word}Slow",
                expr=f"{quantile_name(histogram, '0.95')} > {most_s:g}",
                wait="10m",
                severity="ticket",
                summary=f"{word.upper()} p95 of {{{{ $labels.model }}}} is above {most_s:g} s",
                runbook=f"{word.lower()}-slow",
                fires=fires,
                silent=silent,
                labels={"model": "m"},
            )
        )
    return found


def _times(histogram: str, *, most_s: float, extra: str = "") -> tuple[Series, Series]:
    """All between half of a limit and four times as much, or all within its half."""
    low = f"{most_s / 2:g}"
    high = f"{most_s * 4:g}"
    beyond = (
        (_buckets(histogram, low, extra), "0x60"),
        (_buckets(histogram, high, extra), "0+60x60"),
        (_buckets(histogram, "+Inf", extra), "0+60x60"),
    )
    within = (
        (_buckets(histogram, low, extra), "0+60x60"),
        (_buckets(histogram, high, extra), "0+60x60"),
        (_buckets(histogram, "+Inf", extra), "0+60x60"),
    )
    return beyond, within


def _buckets(histogram: str, bound: str, extra: str = "") -> str:
    labels = f'model="m"{extra},le="{bound}"'
    return f"llmops_gateway_{histogram}_seconds_bucket{{{labels}}}"


def budget_alerts(dollars: float) -> list[Alert]:
    """A month's money by two windows each, as an SLO's failures are."""
    hourly = dollars / MONTH_HOURS
    each = hourly / 60
    found = []
    for word, factor, long, short, severity in (
        ("Fast", 14.4, "1h", "5m", "page"),
        ("Slow", 3.0, "6h", "30m", "ticket"),
    ):
        most = factor * hourly
        fires = f"0+{factor * 2 * each:.9f}x500"
        silent = f"0+{each:.9f}x500"
        series = 'llmops_gateway_cost_dollars_total{model="m",key="k"}'
        found.append(
            Alert(
                name=f"LlmopsBudgetBurn{word}",
                expr=f"{_dollars_an_hour(long)} > {most:.6g} and "
                f"{_dollars_an_hour(short)} > {most:.6g}",
                wait="2m",
                severity="page" if severity == "page" else "ticket",
                summary=f"At this rate {dollars:g} dollars a month last a month / {factor:g}",
                runbook="budget-burn",
                fires=((series, fires),),
                silent=((series, silent),),
                at="450m",
            )
        )
    return found


def _dollars_an_hour(window: str) -> str:
    return f"3600 * sum(rate(llmops_gateway_cost_dollars_total[{window}]))"


def cost_anomaly() -> Alert:
    """Against the same hours of the days before; below a dollar an hour nobody is woken."""
    series = 'llmops_gateway_cost_dollars_total{model="m",key="k"}'
    return Alert(
        name="LlmopsCostAnomaly",
        expr="llmops:cost_dollars:rate1h > 3 * avg_over_time(llmops:cost_dollars:rate1h[1d]) "
        "and llmops:cost_dollars:rate1h > 1",
        wait="10m",
        severity="ticket",
        summary="An hour costs three times what it did on average since yesterday",
        runbook="cost-anomaly",
        fires=((series, "0+0.01x600 6+1x120"),),
        silent=((series, "0+0.1x720"),),
        at="660m",
    )
