"""How the rates and errors of one load differ between two runs."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from llmops_cli.bench.report import Difference, Level
from llmops_cli.bench.saved import load_name
from llmops_cli.core.sample import BLOCKS
from llmops_cli.core.significance import ratio_limits, two_sided_p
from llmops_cli.core.stats import share_interval

RATES = ("requests_per_s", "output_tokens_per_s", "texts_per_s", "goodput_per_s")
FEWEST_REPETITIONS = 3
"""On each side, for their spread to count."""
WIDTH_OF_95 = 3.92
"""Standard errors from one end of a 95 % interval to the other."""


def rate_difference(
    metric: str,
    a: Level,
    b: Level,
) -> Difference | None:
    """Without an interval where nobody knows how sure a rate is; None where a run has none."""
    value_a = getattr(a, metric)
    value_b = getattr(b, metric)
    if not value_a or not value_b:
        return None
    estimate = math.log(value_b / value_a)
    difference = Difference(
        load=load_name(a),
        metric=metric,
        baseline=value_a,
        current=value_b,
        ratio=math.exp(estimate),
        requests=(a.measured, b.measured),
    )
    uncertainty = _rate_error(metric, a, b)
    if uncertainty is None:
        return difference
    error, freedom = uncertainty
    return msgspec.structs.replace(
        difference,
        ratio_ci95=ratio_limits(estimate, error, freedom),
        p=two_sided_p(estimate, error, freedom),
    )


def _rate_error(
    metric: str,
    a: Level,
    b: Level,
) -> tuple[float, float] | None:
    """The standard error of the log ratio with its degrees of freedom.

    From each run's own interval, or from its repetitions where these differ more. None for a run
    without an interval.
    """
    error_a = _relative_error(a, metric)
    error_b = _relative_error(b, metric)
    if error_a is None or error_b is None:
        return None
    within = math.hypot(error_a, error_b)
    each_a = a.rates_each.get(metric, [])
    each_b = b.rates_each.get(metric, [])
    fewest = min(len(each_a), len(each_b))
    if fewest >= FEWEST_REPETITIONS:
        variance = _log_variance(each_a) + _log_variance(each_b)
        between = math.sqrt(variance)
        if between > within:
            return between, float(fewest - 1)
    return within, float(2 * BLOCKS)


def _relative_error(level: Level, metric: str) -> float | None:
    middle: float | None = getattr(level, metric)
    interval = level.rates_ci95.get(metric)
    if not middle or interval is None:
        return None
    low, high = interval
    error = (high - low) / WIDTH_OF_95
    return error / middle


def _log_variance(values: Sequence[float]) -> float:
    """Of the mean of the logarithms."""
    logs = [math.log(value) for value in values if value > 0]
    count = max(1, len(logs))
    mean = sum(logs) / count
    deviations = [value - mean for value in logs]
    squares = sum(deviation**2 for deviation in deviations)
    freedom = max(1, len(logs) - 1)
    variance = squares / freedom
    return variance / count


def error_difference(a: Level, b: Level) -> Difference:
    """Rates as shares; the interval is of their difference, not of a ratio.

    Source: Newcombe 1998, method 10.
    """
    share_a = a.errors / max(1, a.requests)
    share_b = b.errors / max(1, b.requests)
    low_a, high_a = share_interval(a.errors, a.requests)
    low_b, high_b = share_interval(b.errors, b.requests)
    change = share_b - share_a
    down = math.hypot(share_b - low_b, high_a - share_a)
    up = math.hypot(high_b - share_b, share_a - low_a)
    interval = (change - down, change + up)
    pooled = _pooled_error(a, b)
    return Difference(
        load=load_name(a),
        metric="error_rate",
        baseline=share_a,
        current=share_b,
        change=change,
        change_ci95=interval,
        p=two_sided_p(change, pooled, 1e6),
        requests=(a.requests, b.requests),
    )


def _pooled_error(a: Level, b: Level) -> float:
    """The standard error of the difference of two shares if they are the same."""
    count_a = max(1, a.requests)
    count_b = max(1, b.requests)
    errors = a.errors + b.errors
    requests = a.requests + b.requests
    pooled = errors / max(1, requests)
    variance = pooled * (1 - pooled)
    inverse = 1 / count_a + 1 / count_b
    return math.sqrt(variance * inverse)
