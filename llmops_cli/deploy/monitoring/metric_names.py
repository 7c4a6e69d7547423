"""Names of metrics that rules and dashboards may use, by whose they are.

Tests hold the gateway's against what it counts, and ours of engines against what they tell.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

GATEWAY = "llmops_gateway_"
OF_ENGINES = frozenset(
    {
        "llmops_running",
        "llmops_waiting",
        "llmops_kv_use",
        "vllm:num_requests_running",
        "vllm:num_requests_waiting",
        "vllm:kv_cache_usage_perc",
    }
)
OF_ENGINE_BOARDS = frozenset(
    {
        "llmops_build_info",
        "llmops_cpu_seconds_total",
        "llmops_gpu_memory_total_bytes",
        "llmops_gpu_memory_used_bytes",
        "llmops_gpu_utilization",
        "llmops_model_info",
        "llmops_resident_bytes",
    }
)
"""What engines of ours tell beside their load."""
OF_DCGM = frozenset({"DCGM_FI_DEV_FB_USED", "DCGM_FI_DEV_FB_FREE", "DCGM_FI_DEV_GPU_UTIL"})
"""NVIDIA's exporter for cards; it is the cluster's, and where it is none these give nothing."""
OF_PROMETHEUS = frozenset({"up", "ALERTS"})
NAMES = re.compile(r'__name__=~"([^"]*)"')
"""Of a selector that takes several metrics."""
METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABELS = re.compile(
    r"\{[^}]*\}|\"[^\"]*\"|\[[^\]]*\]|offset \d+[smhd]"
    r"|(by|without|on|ignoring|group_left)\s*\([^)]*\)"
)
WORDS = frozenset(
    (
        "sum",
        "rate",
        "increase",
        "max",
        "min",
        "avg",
        "count",
        "by",
        "without",
        "on",
        "ignoring",
        "group_left",
        "label_replace",
        "and",
        "or",
        "unless",
        "bool",
        "topk",
        "offset",
        "histogram_quantile",
        "vector",
        "absent",
        "time",
        "avg_over_time",
        "max_over_time",
        "min_over_time",
    )
)


def metrics_in(query: str) -> set[str]:
    """The metrics that a query of PromQL asks for, those that rules record included."""
    bare = LABELS.sub(" ", query)
    found = METRIC.findall(bare)
    for names in NAMES.findall(query):
        found += names.split("|")
    return {name for name in found if name not in WORDS and not name.isdecimal()}


def all_metrics(queries: Iterable[str]) -> set[str]:
    return {name for query in queries for name in metrics_in(query)}
