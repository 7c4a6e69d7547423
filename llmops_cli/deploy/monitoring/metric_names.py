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
OF_DCGM = frozenset({"DCGM_FI_DEV_FB_USED", "DCGM_FI_DEV_FB_FREE", "DCGM_FI_DEV_GPU_UTIL"})
"""NVIDIA's exporter for cards; it is the cluster's, and where it is none these give nothing."""
OF_PROMETHEUS = frozenset({"up", "ALERTS"})
METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABELS = re.compile(
    r"\{[^}]*\}|\"[^\"]*\"|\[[^\]]*\]|offset \d+[smhd]|(by|without|on|ignoring)\s*\([^)]*\)"
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
    return {name for name in found if name not in WORDS and not name.isdecimal()}


def all_metrics(queries: Iterable[str]) -> set[str]:
    return {name for query in queries for name in metrics_in(query)}
