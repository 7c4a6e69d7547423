"""Rates and quantiles that alerts and dashboards share, by the gateway's own counts."""

from __future__ import annotations

from llmops_cli.deploy.knob import Manifest

WINDOWS = ("5m", "30m", "1h", "6h", "3d")
QUANTILES = ("0.5", "0.95", "0.99")
HISTOGRAMS = ("ttft", "tpot", "request")
LAST_BOUND_S = {"ttft": 900.0, "tpot": 2.5, "request": 900.0}
"""No quantile of theirs is more."""
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
    return rules


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
