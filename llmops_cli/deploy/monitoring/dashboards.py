"""Grafana's dashboards: the gateway, its engines, what it costs, what the guard does."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from llmops_cli.deploy.knob import Manifest
from llmops_cli.deploy.monitoring.recording import CARD_MEMORY, CARD_USE

PANEL_WIDTH = 12
PANEL_HEIGHT = 8


class Panel(NamedTuple):
    """`legend`: Grafana's name of a series, by its labels."""

    title: str
    query: str
    unit: str = "short"
    legend: str = ""


GATEWAY = (
    Panel(
        "Requests a second",
        "sum by (status) (rate(llmops_gateway_requests_total[5m]))",
        "reqps",
        "{{status}}",
    ),
    Panel("Share of errors", "llmops:error_share:rate5m", "percentunit"),
    Panel("TTFT p95", "llmops:ttft_seconds:p95", "s", "{{model}}"),
    Panel("Time per token p95", "llmops:tpot_seconds:p95", "s", "{{model}}"),
    Panel("Whole request p95", "llmops:request_seconds:p95", "s", "{{model}}"),
    Panel("Under way", "sum(llmops_gateway_in_flight)"),
    Panel("Waiting for a place", "sum(llmops_gateway_queued)"),
    Panel(
        "Tokens a second",
        "sum by (direction) (rate(llmops_gateway_tokens_total[5m]))",
        "short",
        "{{direction}}",
    ),
    Panel(
        "Retries and hedges a second",
        "sum(rate(llmops_gateway_retries_total[5m])) or on() vector(0)",
    ),
    Panel(
        "Answers of the cache",
        "sum by (result) (rate(llmops_gateway_cache_total[5m])) or on() vector(0)",
        "reqps",
        "{{result}}",
    ),
    Panel("Memory of the gateways", "sum(llmops_gateway_resident_bytes)", "bytes"),
    Panel("Cores that the gateways use", "sum(rate(llmops_gateway_cpu_seconds_total[5m]))"),
    Panel(
        "Gateways by configuration",
        "count by (config) (llmops_gateway_config_info)",
        "short",
        "{{config}}",
    ),
)
ENGINES = (
    Panel("Up", "min by (upstream) (llmops_gateway_upstream_up)", "short", "{{upstream}}"),
    Panel(
        "Breaker: 2 is open",
        "max by (upstream) (llmops_gateway_breaker)",
        "short",
        "{{upstream}}",
    ),
    Panel(
        "Failed attempts a second",
        "sum by (upstream, kind) (rate(llmops_gateway_upstream_errors_total[5m]))"
        " or on() vector(0)",
        "short",
        "{{upstream}} {{kind}}",
    ),
    Panel(
        "Outstanding tokens",
        "sum by (upstream) (llmops_gateway_outstanding_tokens)",
        "short",
        "{{upstream}}",
    ),
    Panel(
        "Running in the engines",
        'sum by (upstream) ({__name__=~"llmops_running|vllm:num_requests_running"})',
        "short",
        "{{upstream}}",
    ),
    Panel(
        "Waiting in the engines",
        'sum by (upstream) ({__name__=~"llmops_waiting|vllm:num_requests_waiting"})',
        "short",
        "{{upstream}}",
    ),
    Panel(
        "KV cache in use",
        'max by (upstream) ({__name__=~"llmops_kv_use|vllm:kv_cache_usage_perc"})',
        "percentunit",
        "{{upstream}}",
    ),
    Panel(
        "Memory of cards",
        CARD_MEMORY,
        "bytes",
        "{{card}} {{uuid}}",
    ),
    Panel(
        "Use of cards",
        CARD_USE,
        "percentunit",
        "{{card}} {{uuid}}",
    ),
    Panel(
        "Memory of the engines",
        "sum by (upstream) (llmops_resident_bytes)",
        "bytes",
        "{{upstream}}",
    ),
    Panel(
        "Cores that the engines use",
        "sum by (upstream) (rate(llmops_cpu_seconds_total[5m]))",
        "short",
        "{{upstream}}",
    ),
    Panel(
        "Engines by model and build",
        "count by (model, digest, build)"
        " (llmops_model_info * on (job, instance) group_left (build) llmops_build_info)",
        "short",
        "{{model}} {{digest}} {{build}}",
    ),
)
COST = (
    Panel("Dollars in the last hour", "llmops:cost_dollars:rate1h", "currencyUSD"),
    Panel(
        "Dollars a day by model",
        "sum by (model) (increase(llmops_gateway_cost_dollars_total[1d]))",
        "currencyUSD",
        "{{model}}",
    ),
    Panel(
        "Dollars a day by key",
        "topk(10, sum by (key) (increase(llmops_gateway_cost_dollars_total[1d])))",
        "currencyUSD",
        "{{key}}",
    ),
    Panel(
        "Tokens a day by key",
        "topk(10, sum by (key) (increase(llmops_gateway_tokens_total[1d])))",
        "short",
        "{{key}}",
    ),
)
SAFETY = (
    Panel("Blocked in the last minute", "max(llmops_gateway_guard_block_rate)", "percentunit"),
    Panel(
        "Answers to what the guard suspects",
        "sum by (model, stance) (rate(llmops_gateway_suspicious_answers_total[5m]))"
        " or on() vector(0)",
        "short",
        "{{model}} {{stance}}",
    ),
    Panel(
        "Decisions of the guard a second",
        "sum by (side, action, rule) (rate(llmops_gateway_guard_total[5m])) or on() vector(0)",
        "short",
        "{{side}} {{action}} {{rule}}",
    ),
    Panel(
        "Refused before an upstream, a second",
        "sum by (code) (rate(llmops_gateway_refused_total[5m])) or on() vector(0)",
        "short",
        "{{code}}",
    ),
    Panel("Waiting for a judge", "sum(llmops_gateway_judging)"),
    Panel("Lines lost of the audit log", "sum(llmops_gateway_audit_lost_total)"),
)
DASHBOARDS = {"gateway": GATEWAY, "engines": ENGINES, "cost": COST, "safety": SAFETY}


def dashboard_files() -> dict[str, str]:
    """File below monitoring/dashboards -> JSON."""
    files = {}
    for name, panels in DASHBOARDS.items():
        raw = msgspec.json.encode(_dashboard(name, panels))
        files[f"{name}.json"] = msgspec.json.format(raw, indent=2).decode() + "\n"
    return files


def _dashboard(name: str, panels: tuple[Panel, ...]) -> Manifest:
    return {
        "uid": f"llmops-{name}",
        "title": f"llmops: {name}",
        "tags": ["llmops"],
        "schemaVersion": 39,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": [{"name": "source", "type": "datasource", "query": "prometheus"}]},
        "panels": [_panel(number, each) for number, each in enumerate(panels)],
    }


def _panel(number: int, panel: Panel) -> Manifest:
    row, column = divmod(number, 2)
    source = {"type": "prometheus", "uid": "${source}"}
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": panel.title,
        "datasource": source,
        "gridPos": {
            "x": column * PANEL_WIDTH,
            "y": row * PANEL_HEIGHT,
            "w": PANEL_WIDTH,
            "h": PANEL_HEIGHT,
        },
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": [
            {
                "refId": "A",
                "datasource": source,
                "expr": panel.query,
                "legendFormat": panel.legend or panel.title,
            }
        ],
    }
