"""Whether one run is faster than another, and how sure that is.

Latencies are compared request by request (bench.latencies), rates and errors by their intervals
(bench.rates). All p-values of a comparison are adjusted together (Holm), so an A/A comparison
raises any false alarm in at most 5 % of cases. Method: docs/METRICS.md, "Comparing runs".
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import msgspec

from llmops_cli.bench.latencies import SHIFT, latency_differences
from llmops_cli.bench.rates import RATES, error_difference, rate_difference
from llmops_cli.bench.report import Comparison, Difference, Level
from llmops_cli.bench.saved import SavedRun, load_name
from llmops_cli.bench.unlike import FEWEST_REPETITIONS, comparison_warnings
from llmops_cli.core.significance import SURE, holm

LATENCIES = ("ttft_ms", "tpot_ms", "e2e_ms")
STATISTICS = (SHIFT, "p50", "p95", "p99")
ERROR_RATE = "error_rate"
HEADLINES = (
    *(f"{metric}.{statistic}" for metric in LATENCIES for statistic in STATISTICS),
    "output_tokens_per_s",
    ERROR_RATE,
)
MIN_EFFECT = 0.02
LEAST_MORE_ERRORS = 0.001
"""A smaller difference of two error rates, as shares, is no verdict."""
CANT_TELL = "can't tell"


def compare(
    baseline: SavedRun,
    current: SavedRun,
    *,
    metrics: Sequence[str] | None = None,
    min_effect: float = MIN_EFFECT,
) -> Comparison:
    """Every headline metric of every load that both runs have.

    `metrics` (ttft_ms.p95, ...) asks for others. A ratio is current / baseline. A verdict other
    than "can't tell" needs three repetitions on both sides, an adjusted p under 5 % and a change of
    at least `min_effect`.
    """
    wanted = metrics or HEADLINES
    found: list[Difference] = []
    loads = _same_loads(baseline.report.levels, current.report.levels)
    for places in loads:
        of_load = _differences(baseline, current, places, wanted)
        repetitions = _repetitions(baseline, current, places)
        for difference in of_load:
            counted = msgspec.structs.replace(difference, repetitions=repetitions)
            found.append(counted)
    ps = [difference.p for difference in found]
    judged = []
    for difference, p in zip(found, holm(ps), strict=True):
        verdict = _judge(difference, p, min_effect)
        judged.append(verdict)
    warnings = comparison_warnings(baseline, current)
    return Comparison(
        baseline=baseline.name,
        current=current.name,
        differences=judged,
        warnings=list(warnings),
    )


def _same_loads(a: Sequence[Level], b: Sequence[Level]) -> Iterator[tuple[int, int]]:
    """The places of each load that both have."""
    places = {}
    for place, level in enumerate(b):
        places[load_name(level)] = place
    for place, level in enumerate(a):
        name = load_name(level)
        other = places.get(name)
        if other is not None:
            yield place, other


def _repetitions(
    a: SavedRun,
    b: SavedRun,
    places: tuple[int, int],
) -> tuple[int, int]:
    place_a, place_b = places
    return a.report.levels[place_a].repetitions, b.report.levels[place_b].repetitions


def _differences(
    a: SavedRun,
    b: SavedRun,
    places: tuple[int, int],
    metrics: Sequence[str],
) -> Iterator[Difference]:
    level_a = a.report.levels[places[0]]
    level_b = b.report.levels[places[1]]
    by_metric = _by_metric(metrics)
    for metric, statistics in by_metric.items():
        if metric == ERROR_RATE:
            yield error_difference(level_a, level_b)
        elif metric in RATES:
            difference = rate_difference(metric, level_a, level_b)
            if difference is not None:
                yield difference
        else:
            yield from latency_differences(a, b, places, metric, statistics)


def _by_metric(metrics: Sequence[str]) -> dict[str, list[str]]:
    """Metrics in order, each with its statistics."""
    found: dict[str, list[str]] = {}
    for name in metrics:
        metric, _, statistic = name.partition(".")
        statistics = found.setdefault(metric, [])
        statistics.append(statistic)
    return found


def has_repetitions(difference: Difference) -> bool:
    """Whether both sides ran often enough for the drift between runs to be seen."""
    return min(difference.repetitions) >= FEWEST_REPETITIONS


def _judge(
    difference: Difference,
    p: float,
    min_effect: float,
) -> Difference:
    """One run on each side shows no drift, so that it can be no verdict, however small its p is."""
    verdict = CANT_TELL
    if p < SURE and has_repetitions(difference):
        if difference.metric == ERROR_RATE:
            verdict = _error_verdict(difference) or verdict
        else:
            verdict = _speed_verdict(difference, min_effect) or verdict
    return msgspec.structs.replace(difference, p=p, verdict=verdict)


def _error_verdict(difference: Difference) -> str | None:
    change = difference.change or 0.0
    if abs(change) < LEAST_MORE_ERRORS:
        return None
    return "more errors" if change > 0 else "fewer errors"


def _speed_verdict(difference: Difference, min_effect: float) -> str | None:
    ratio = difference.ratio
    if ratio is None:
        return None
    effect = abs(math.log(ratio))
    if effect < math.log1p(min_effect):
        return None
    is_more = ratio > 1
    more_is_faster = difference.metric in RATES
    if is_more == more_is_faster:
        return "faster"
    return "slower"
