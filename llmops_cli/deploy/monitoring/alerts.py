"""All alerts of a gateway, and those on itself and on what it is asked."""

from __future__ import annotations

from llmops_cli.deploy.monitoring.alert import Alert, gauge_alert
from llmops_cli.deploy.monitoring.engine_alerts import card_alerts, engine_alerts, upstream_alerts
from llmops_cli.deploy.monitoring.slo_alerts import (
    budget_alerts,
    cost_anomaly,
    error_alerts,
    latency_alerts,
)
from llmops_cli.deploy.recipe import RenderRecipe


def alerts_of(recipe: RenderRecipe) -> list[Alert]:
    found = [
        *error_alerts(recipe),
        *latency_alerts(recipe),
        *engine_alerts(),
        *card_alerts(),
        *upstream_alerts(),
        *_gateway(),
        *_safety(),
        _live_key(),
        _suspicious_answers(),
        cost_anomaly(),
    ]
    if recipe.budget_dollars is not None:
        found += budget_alerts(recipe.budget_dollars)
    return found


def _gateway() -> list[Alert]:
    return [
        gauge_alert(
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
        gauge_alert(
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
        gauge_alert(
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
        gauge_alert(
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
