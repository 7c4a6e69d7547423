"""What a gateway tells at /metrics, by name: what dashboards and rules of anybody may ask for.

A test holds both tables against what it counts.
"""

from __future__ import annotations

PREFIX = "llmops_gateway_"
SINGLE = (
    "audit_lost_total",
    "breaker",
    "broken_answers_total",
    "build_info",
    "cache_total",
    "canary_percent",
    "compression_tokens_total",
    "config_info",
    "config_ok",
    "config_version",
    "cost_dollars_by_tag_total",
    "cost_dollars_total",
    "cpu_seconds_total",
    "fallbacks_total",
    "feedback_labels_total",
    "feedback_score_total",
    "feedback_total",
    "gpu_memory_total_bytes",
    "gpu_memory_used_bytes",
    "gpu_power_watts",
    "gpu_temperature_celsius",
    "gpu_utilization",
    "guard_block_rate",
    "guard_total",
    "hedges_total",
    "in_flight",
    "judging",
    "keys_seen_total",
    "keys_unsearched_total",
    "lookup_ok",
    "lookups_total",
    "members",
    "model_info",
    "open_files",
    "outstanding_tokens",
    "processes",
    "queued",
    "redis_up",
    "refused_total",
    "request_seconds_by_key_total",
    "requests_total",
    "resident_bytes",
    "retries_total",
    "shadow_seconds_total",
    "shadow_total",
    "suspicious_answers_total",
    "tasks",
    "token_parts_total",
    "tokens_total",
    "upstream_errors_total",
    "upstream_refusals_total",
    "upstream_refuses",
    "upstream_requests_total",
    "upstream_up",
)
HISTOGRAMS = (
    "request_seconds",
    "tpot_seconds",
    "ttft_seconds",
)
PARTS = ("bucket", "sum", "count")


def of_gateway() -> frozenset[str]:
    """With those series of which a histogram consists."""
    names = {f"{PREFIX}{name}" for name in SINGLE}
    names |= {f"{PREFIX}{name}_{part}" for name in HISTOGRAMS for part in PARTS}
    return frozenset(names)
