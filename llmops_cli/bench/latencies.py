"""How the latencies of one load differ between two runs, from their requests.

The shift of the whole distribution is tested by ranks; medians and tails are compared by a
bootstrap. Both work on blocks of time, since neighbours share a server's state; where both runs
sent the same requests, blocks go in pairs. Shapes: n requests.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from llmops_cli.bench.report import Difference, Level
from llmops_cli.bench.resampling import errors_within
from llmops_cli.bench.saved import SavedRun, load_name
from llmops_cli.bench.shift import RankedSides, Uncertainty
from llmops_cli.bench.sides import Side, Sides, pair, side_of
from llmops_cli.bench.unlike import same_workload
from llmops_cli.core.significance import ratio_limits, two_sided_p
from llmops_cli.core.stats import percentile

if TYPE_CHECKING:
    from numpy import ndarray

SHIFT = "shift"
FEWEST = {SHIFT: 10, "mean": 10, "p50": 10, "p90": 100, "p95": 200, "p99": 1000}
"""Requests on each side below which a statistic is too coarse to be compared."""
FEWEST_REPETITIONS = 3
TINY = 1e-9


def latency_differences(
    a: SavedRun,
    b: SavedRun,
    places: tuple[int, int],
    metric: str,
    statistics: Sequence[str],
) -> Iterator[Difference]:
    """Of each statistic that there are enough requests for.

    Without tables of requests the levels' own figures, of which nobody knows how sure their ratio
    is.
    """
    place_a, place_b = places
    level_a = a.report.levels[place_a]
    level_b = b.report.levels[place_b]
    if a.requests is None or b.requests is None:
        yield from _of_levels(level_a, level_b, metric, statistics)
        return
    side_a = side_of(a.requests, place_a, level_a, metric)
    side_b = side_of(b.requests, place_b, level_b, metric)
    may_pair = same_workload(a, b)
    sides = pair(side_a, side_b, may_pair=may_pair)
    smallest = min(sides.sizes)
    usable = []
    for name in statistics:
        statistic = name or "p50"
        if statistic in FEWEST and smallest >= FEWEST[statistic]:
            usable.append(statistic)
    if usable:
        load = load_name(level_a)
        comparer = _Comparer(sides, load, metric, usable)
        yield from comparer.differences()


def _of_levels(
    a: Level,
    b: Level,
    metric: str,
    statistics: Sequence[str],
) -> Iterator[Difference]:
    found_a = getattr(a, metric)
    found_b = getattr(b, metric)
    for statistic in statistics:
        before = getattr(found_a, statistic, None)
        now = getattr(found_b, statistic, None)
        if before and now:
            yield Difference(
                load=load_name(a),
                metric=f"{metric}.{statistic}",
                baseline=before,
                current=now,
                ratio=now / before,
                requests=(found_a.count, found_b.count),
            )


class _Comparer:
    """One metric at one load, statistic by statistic."""

    def __init__(
        self,
        sides: Sides,
        load: str,
        metric: str,
        statistics: Sequence[str],
    ) -> None:
        import numpy as np

        self._sides = sides
        self._load = load
        self._metric = metric
        self._statistics = statistics
        self._sorted_a = np.sort(sides.baseline.values)
        self._sorted_b = np.sort(sides.current.values)
        self._superiority = _superiority(sides)

    def differences(self) -> Iterator[Difference]:
        names = [name for name in self._statistics if name != SHIFT]
        needed = {*names, "p50"}
        between = _between_repetitions(self._sides, needed)
        if SHIFT in self._statistics:
            of_median = between.get("p50")
            yield self._shift(of_median)
        if names:
            within = errors_within(self._sides)
            for name in names:
                of_name = between.get(name)
                worse = _larger(within[name], of_name)
                difference = self._of_statistic(name, worse)
                if difference is not None:
                    yield difference

    def _shift(self, between: Uncertainty | None) -> Difference:
        a, b, is_paired = self._sides
        ranked = RankedSides(a.values, a.blocks, b.values, b.blocks, is_paired=is_paired)
        found = ranked.shift(between)
        return self._difference(SHIFT, "p50", found.ratio, found.ratio_ci95, found.p)

    def _of_statistic(self, name: str, uncertainty: Uncertainty) -> Difference | None:
        value_a = _statistic(self._sorted_a, name)
        value_b = _statistic(self._sorted_b, name)
        if value_a <= 0 or value_b <= 0:
            return None
        estimate = math.log(value_b / value_a)
        ratio = math.exp(estimate)
        interval = ratio_limits(estimate, *uncertainty)
        p = two_sided_p(estimate, *uncertainty)
        return self._difference(name, name, ratio, interval, p)

    def _difference(
        self,
        name: str,
        shown: str,
        ratio: float,
        interval: tuple[float, float],
        p: float,
    ) -> Difference:
        """`shown` is the statistic whose values stand beside the ratio."""
        return Difference(
            load=self._load,
            metric=f"{self._metric}.{name}",
            baseline=_statistic(self._sorted_a, shown),
            current=_statistic(self._sorted_b, shown),
            ratio=ratio,
            ratio_ci95=interval,
            p=p,
            superiority=self._superiority,
            requests=self._sides.sizes,
            paired=self._sides.is_paired,
        )


def _larger(within: Uncertainty, between: Uncertainty | None) -> Uncertainty:
    if between is not None and between.error > within.error:
        return between
    return within


def _between_repetitions(sides: Sides, names: set[str]) -> dict[str, Uncertainty]:
    """Of each log ratio, from how the repetitions of one side differ among themselves.

    Only where both sides have at least three. It sees drift between runs, which blocks cannot.
    Source: Welch 1947.
    """
    found: dict[str, Uncertainty] = {}
    for name in names:
        logs_a = _logs_of_repetitions(sides.baseline, name)
        logs_b = _logs_of_repetitions(sides.current, name)
        fewest = min(len(logs_a), len(logs_b))
        if fewest < FEWEST_REPETITIONS:
            continue
        uncertainty = _welch([logs_a, logs_b])
        if uncertainty is not None:
            found[name] = uncertainty
    return found


def _logs_of_repetitions(side: Side, name: str) -> list[float]:
    import numpy as np

    found = []
    for repetition in np.unique(side.repetitions):
        mask = side.repetitions == repetition
        values = np.sort(side.values[mask])
        statistic = max(_statistic(values, name), TINY)
        found.append(math.log(statistic))
    return found


def _welch(samples: Sequence[Sequence[float]]) -> Uncertainty | None:
    """Of the difference of two means; None if nothing varies."""
    import numpy as np

    whole = 0.0
    by_freedom = 0.0
    for sample in samples:
        size = len(sample)
        variance = np.var(sample, ddof=1)
        share = float(variance) / size
        whole += share
        by_freedom += share**2 / (size - 1)
    if whole <= 0:
        return None
    error = math.sqrt(whole)
    freedom = whole**2 / by_freedom
    return Uncertainty(error, freedom)


def _statistic(ordered: ndarray, name: str) -> float:
    if name == "mean":
        return float(ordered.mean())
    q = float(name[1:])
    return percentile(ordered, q)  # type: ignore[arg-type]


def _superiority(sides: Sides) -> float:
    """The chance that a request is faster in the current run, ties half (Vargha & Delaney 2000)."""
    import numpy as np

    values_a = sides.baseline.values
    values_b = sides.current.values
    if sides.is_paired:
        faster = np.mean(values_b < values_a)
        ties = np.mean(values_b == values_a)
        return float(faster + ties / 2)
    ordered = np.sort(values_a)
    below = np.searchsorted(ordered, values_b, "left")
    upto = np.searchsorted(ordered, values_b, "right")
    size = len(ordered)
    slower = size - (below + upto) / 2
    return float(np.mean(slower) / size)
