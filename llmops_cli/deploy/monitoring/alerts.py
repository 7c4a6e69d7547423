"""Alerts, each with a runbook and the series by which a test makes it fire and keeps it silent."""

from __future__ import annotations

from typing import Literal

import msgspec

from llmops_cli.deploy.monitoring.recording import (
    CARD_MEMORY_SHARE,
    CARD_USE,
    quantile_name,
    share_name,
)
from llmops_cli.deploy.recipe import RenderRecipe

Severity = Literal["page", "ticket"]
MONTH_HOURS = 730
WAITING = (
    '((sum({__name__=~"llmops_waiting|vllm:num_requests_waiting"}) or vector(0))'
    " + (sum(llmops_gateway_queued) or vector(0)))"
)
"""Requests, in the engines and before them."""
MOST_SHARE = 0.9
"""Of failures that nobody is told of, however many an SLO allows."""
Series = tuple[tuple[str, str], ...]
"""A series and its values, in promtool's notation, one each minute."""


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """`fires`, `silent`: see Series; `at`: when the test looks. `labels`: of the one that fires."""

    name: str
    expr: str
    wait: str
    severity: Severity
    summary: str
    runbook: str
    fires: Series
    silent: Series
    at: str = "30m"
    labels: dict[str, str] = {}


def alerts_of(recipe: RenderRecipe) -> list[Alert]:
    found = [
        *_errors(recipe),
        *_latencies(recipe),
        *_engines(),
        *_cards(),
        *_upstreams(),
        *_gateway(),
        *_safety(),
        _live_key(),
        _suspicious_answers(),
        _cost_anomaly(),
    ]
    if recipe.budget_dollars is not None:
        found += _budget(recipe.budget_dollars)
    return found


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


def _errors(recipe: RenderRecipe) -> list[Alert]:
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


def _buckets(histogram: str, bound: str, extra: str = "") -> str:
    labels = f'model="m"{extra},le="{bound}"'
    return f"llmops_gateway_{histogram}_seconds_bucket{{{labels}}}"


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


def _latencies(recipe: RenderRecipe) -> list[Alert]:
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


def _gauge(
    name: str,
    expr: str,
    *,
    wait: str,
    severity: Severity,
    summary: str,
    runbook: str,
    series: str,
    high: str,
    low: str,
    labels: dict[str, str] | None = None,
) -> Alert:
    return Alert(
        name=name,
        expr=expr,
        wait=wait,
        severity=severity,
        summary=summary,
        runbook=runbook,
        fires=((series, high),),
        silent=((series, low),),
        labels=labels or {},
    )


def _engines() -> list[Alert]:
    kv = 'llmops_kv_use{upstream="chat"}'
    return [
        _gauge(
            "LlmopsQueue",
            "sum(llmops_gateway_queued) > 50",
            wait="5m",
            severity="ticket",
            summary="Requests wait at the gateway for a place",
            runbook="queue",
            series="llmops_gateway_queued",
            high="100x60",
            low="3x60",
        ),
        _gauge(
            "LlmopsKvCacheFull",
            'max by (upstream) ({__name__=~"llmops_kv_use|vllm:kv_cache_usage_perc"}) > 0.95',
            wait="10m",
            severity="ticket",
            summary="The KV cache of {{ $labels.upstream }} is full, so requests are put back",
            runbook="kv-cache",
            series=kv,
            high="0.99x60",
            low="0.5x60",
            labels={"upstream": "chat"},
        ),
    ]


def _cards() -> list[Alert]:
    """Whoever sees them: an engine, the gateway, or NVIDIA's exporter."""
    card = 'UUID="GPU-1",modelName="H200"'
    used = f"DCGM_FI_DEV_FB_USED{{{card}}}"
    free = f"DCGM_FI_DEV_FB_FREE{{{card}}}"
    use = 'llmops_gpu_utilization{uuid="GPU-1",card="H200"}'
    waiting = 'llmops_waiting{upstream="chat"}'
    return [
        Alert(
            name="LlmopsGpuMemory",
            expr=f"{CARD_MEMORY_SHARE} > 0.97",
            wait="10m",
            severity="ticket",
            summary="Memory of card {{ $labels.uuid }} is nearly full",
            runbook="gpu-memory",
            fires=((used, "80000x60"), (free, "500x60")),
            silent=((used, "60000x60"), (free, "20000x60")),
            labels={"uuid": "GPU-1", "card": "H200"},
        ),
        Alert(
            name="LlmopsGpuBusy",
            expr=f"min({CARD_USE}) > 0.95 and {WAITING} > 0",
            wait="15m",
            severity="ticket",
            summary="Every card computes all the time, and requests wait",
            runbook="gpu-use",
            fires=((use, "0.99x60"), (waiting, "5x60")),
            silent=((use, "0.99x60"), (waiting, "0x60")),
        ),
        Alert(
            name="LlmopsGpuIdle",
            expr=f"max({CARD_USE}) < 0.05 and {WAITING} > 0",
            wait="10m",
            severity="ticket",
            summary="Requests wait, and no card computes",
            runbook="gpu-use",
            fires=((use, "0.01x60"), (waiting, "5x60")),
            silent=((use, "0.6x60"), (waiting, "5x60")),
        ),
    ]


def _upstreams() -> list[Alert]:
    return [
        _gauge(
            "LlmopsUpstreamDown",
            "min by (upstream) (llmops_gateway_upstream_up) == 0",
            wait="2m",
            severity="page",
            summary="Nobody answers at upstream {{ $labels.upstream }}",
            runbook="upstream-down",
            series='llmops_gateway_upstream_up{upstream="chat"}',
            high="0x60",
            low="1x60",
            labels={"upstream": "chat"},
        ),
        _gauge(
            "LlmopsBreakerOpen",
            "max by (upstream) (llmops_gateway_breaker) == 2",
            wait="1m",
            severity="page",
            summary="Nothing is sent to {{ $labels.upstream }}, because it failed",
            runbook="breaker-open",
            series='llmops_gateway_breaker{upstream="chat"}',
            high="2x60",
            low="0x60",
            labels={"upstream": "chat"},
        ),
        _gauge(
            "LlmopsUpstreamRefuses",
            "max by (upstream) (llmops_gateway_upstream_refuses) == 1",
            wait="2m",
            severity="page",
            summary="{{ $labels.upstream }} does not take our key, address or name of a model",
            runbook="upstream-refuses",
            series='llmops_gateway_upstream_refuses{upstream="chat"}',
            high="1x60",
            low="0x60",
            labels={"upstream": "chat"},
        ),
    ]


def _gateway() -> list[Alert]:
    return [
        _gauge(
            "LlmopsCanaryRolledBack",
            "max by (model) (llmops_gateway_canary_percent) == 0 and "
            "max by (model) (max_over_time(llmops_gateway_canary_percent[1h])) > 0",
            wait="0m",
            severity="ticket",
            summary="The canary of {{ $labels.model }} was worse, and gets nothing any more",
            runbook="canary-rolled-back",
            series='llmops_gateway_canary_percent{model="m"}',
            high="5x10 0x50",
            low="5x60",
            labels={"model": "m"},
        ),
        _gauge(
            "LlmopsConfigRefused",
            "min(llmops_gateway_config_ok) == 0",
            wait="2m",
            severity="ticket",
            summary="The gateway's file was changed and cannot be used; the old one serves",
            runbook="config-refused",
            series="llmops_gateway_config_ok",
            high="0x60",
            low="1x60",
        ),
        _gauge(
            "LlmopsGatewayDown",
            'sum(up{job="llmops-gateway"}) == 0',
            wait="1m",
            severity="page",
            summary="No gateway can be scraped",
            runbook="gateway-down",
            series='up{job="llmops-gateway",instance="a"}',
            high="0x60",
            low="1x60",
        ),
    ]


def _safety() -> list[Alert]:
    return [
        _gauge(
            "LlmopsBlockRate",
            "max(llmops_gateway_guard_block_rate) > 0.2",
            wait="5m",
            severity="ticket",
            summary="The guard blocks more than a fifth of the requests",
            runbook="block-rate",
            series="llmops_gateway_guard_block_rate",
            high="0.4x60",
            low="0.01x60",
        ),
        Alert(
            name="LlmopsAuditLost",
            expr="sum(increase(llmops_gateway_audit_lost_total[15m])) > 0",
            wait="0m",
            severity="page",
            summary="Lines of the audit log are lost",
            runbook="audit-lost",
            fires=(("llmops_gateway_audit_lost_total", "0+1x60"),),
            silent=(("llmops_gateway_audit_lost_total", "5x60"),),
        ),
    ]


def _live_key() -> Alert:
    """Old counts wake nobody: only what is new since a quarter of an hour ago."""
    seen = 'llmops_gateway_keys_seen_total{kind="openai",direction="output"}'
    expr = (
        "sum by (kind, direction) (increase(llmops_gateway_keys_seen_total[15m])) > 0 or "
        "sum by (kind, direction) (llmops_gateway_keys_seen_total unless "
        "max_over_time(llmops_gateway_keys_seen_total[15m] offset 15m)) > 0"
    )
    return Alert(
        name="LlmopsLiveKey",
        expr=expr,
        wait="0m",
        severity="page",
        summary="A key ({{ $labels.kind }}) stood in a prompt or an answer",
        runbook="live-key",
        fires=((seen, "_x25 1x35"),),
        silent=((seen, "3x14 stale 3x44"),),  # a scrape was missed
        labels={"kind": "openai", "direction": "output"},
    )


def _suspicious_answers() -> Alert:
    """Of one model: a handful of answers says nothing, and so do those that nobody judged."""
    counter = "llmops_gateway_suspicious_answers_total"
    every = f'sum by (model) (increase({counter}{{stance=~"complied|refused|unclear"}}[1h]))'
    complied = f'sum by (model) (increase({counter}{{stance="complied"}}[1h]))'
    said = f'{counter}{{model="m",stance="complied"}}'
    refused = f'{counter}{{model="m",stance="refused"}}'
    unjudged = f'{counter}{{model="m",stance="unjudged"}}'
    return Alert(
        name="LlmopsSuspiciousAnswered",
        expr=f"{complied} / {every} > 0.2 and {every} >= 10",
        wait="5m",
        severity="ticket",
        summary="{{ $labels.model }} does what the guard suspects in a fifth of the judged answers",
        runbook="suspicious-answered",
        fires=((said, "0+1x60"), (refused, "0+1x60"), (unjudged, "0+9x60")),
        # too few that were judged
        silent=((said, "0+0.1x60"), (refused, "0+0.01x60"), (unjudged, "0+9x60")),
        at="50m",
        labels={"model": "m"},
    )


def _cost_anomaly() -> Alert:
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


def _budget(dollars: float) -> list[Alert]:
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
