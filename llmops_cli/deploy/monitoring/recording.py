"""Rates and quantiles that alerts and dashboards share, by the gateway's own counts."""

from __future__ import annotations

from llmops_cli.deploy.knob import Manifest

WINDOWS = ("5m", "30m", "1h", "6h", "3d")
QUANTILES = ("0.5", "0.95", "0.99")
HISTOGRAMS = ("ttft", "tpot", "request")
LAST_BOUND_S = {"ttft": 900.0, "tpot": 2.5, "request": 900.0}
"""No quantile of theirs is more."""
CARD_USE = "llmops:gpu_utilization"
CARD_MEMORY = "llmops:gpu_memory_used_bytes"
CARD_MEMORY_SHARE = "llmops:gpu_memory_share"
FAILED = 'status=~"5..|5xx"'


def error_share(window: str) -> str:
    """Answers that failed by our doing or an upstream's, and those that broke off: a share."""
    failed = f"sum(rate(llmops_gateway_requests_total{{{FAILED}}}[{window}]))"
    broken = f"sum(rate(llmops_gateway_broken_answers_total[{window}]))"
    every = f"sum(rate(llmops_gateway_requests_total[{window}]))"
    return f"(({failed} or vector(0)) + ({broken} or vector(0))) / ({every} > 0)"


def share_name(window: str) -> str:
    return f"llmops:error_share:rate{window}"


def quantile_name(histogram: str, quantile: str) -> str:
    return f"llmops:{histogram}_seconds:p{quantile.removeprefix('0.').ljust(2, '0')}"


def recording_rules() -> list[Manifest]:
    rules = [_share(window) for window in WINDOWS]
    for histogram in HISTOGRAMS:
        rules += [_quantile(histogram, quantile) for quantile in QUANTILES]
    rules.append(
        {
            "record": "llmops:cost_dollars:rate1h",
            "expr": "sum(increase(llmops_gateway_cost_dollars_total[1h]))",
        }
    )
    return rules + _cards()


def _cards() -> list[Manifest]:
    """By the card itself: engines, the gateway and NVIDIA's exporter may see the same one."""
    used = "gpu_memory_used_bytes"
    total = "gpu_memory_total_bytes"
    dcgm_used = "DCGM_FI_DEV_FB_USED"
    return [
        _of_cards(CARD_USE, _seen("gpu_utilization"), "DCGM_FI_DEV_GPU_UTIL / 100"),
        _of_cards(CARD_MEMORY, _seen(used), f"{dcgm_used} * {1 << 20}"),
        _of_cards(
            CARD_MEMORY_SHARE,
            f"llmops_{used} / llmops_{total} or llmops_gateway_{used} / llmops_gateway_{total}",
            f"{dcgm_used} / ({dcgm_used} + DCGM_FI_DEV_FB_FREE)",
        ),
    ]


def _seen(name: str) -> str:
    return f"llmops_{name} or llmops_gateway_{name}"


def _of_cards(record: str, ours: str, dcgm: str) -> Manifest:
    """DCGM's labels have other names."""
    named = f'label_replace({dcgm}, "uuid", "$1", "UUID", "(.+)")'
    named = f'label_replace({named}, "card", "$1", "modelName", "(.+)")'
    return {"record": record, "expr": f"max by (uuid, card) ({ours} or {named})"}


def _share(window: str) -> Manifest:
    return {"record": share_name(window), "expr": error_share(window)}


def _quantile(histogram: str, quantile: str) -> Manifest:
    """By model: quantiles of models cannot be merged, their buckets can."""
    selector = '{class="2xx"}' if histogram == "request" else ""
    buckets = f"llmops_gateway_{histogram}_seconds_bucket{selector}"
    return {
        "record": quantile_name(histogram, quantile),
        "expr": f"histogram_quantile({quantile}, sum by (le, model) (rate({buckets}[5m])))",
    }
