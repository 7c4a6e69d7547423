"""Alerts on what computes: engines and their queues, cards, and upstreams of any kind."""

from __future__ import annotations

from llmops_cli.deploy.monitoring.alert import Alert, gauge_alert
from llmops_cli.deploy.monitoring.recording import CARD_MEMORY_SHARE, CARD_USE

WAITING = (
    '((sum({__name__=~"llmops_waiting|vllm:num_requests_waiting"}) or vector(0))'
    " + (sum(llmops_gateway_queued) or vector(0)))"
)
"""Requests, in the engines and before them."""


def engine_alerts() -> list[Alert]:
    kv = 'llmops_kv_use{upstream="chat"}'
    return [
        gauge_alert(
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
        gauge_alert(
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


def card_alerts() -> list[Alert]:
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


def upstream_alerts() -> list[Alert]:
    return [
        gauge_alert(
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
        gauge_alert(
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
        gauge_alert(
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
