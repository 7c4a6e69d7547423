"""How the latencies of one load differ between two runs, from their requests.

The shift of the whole distribution is tested by ranks; medians and tails are compared by a
bootstrap. Both work on blocks of time, since neighbours share a server's state; where both runs
sent the same requests, blocks go in pairs. Shapes: n requests.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from llmops_cli.bench.report import Difference, Level
from llmops_cli.bench.requests import Requests
from llmops_cli.bench.saved import SavedRun, load_name
from llmops_cli.bench.shift import RankedSides, Uncertainty
from llmops_cli.bench.unlike import same_workload
from llmops_cli.core.sample import BLOCKS, block_draws, block_weights, resample
from llmops_cli.core.significance import t_limit, two_sided_p
from llmops_cli.core.stats import STATISTICS, percentile

if TYPE_CHECKING:
    from numpy import ndarray

SHIFT = "shift"
FEWEST = {SHIFT: 10, "mean": 10, "p50": 10, "p90": 100, "p95": 200, "p99": 1000}
"""Requests on each side below which a statistic is too coarse to be compared."""
RESAMPLES = 2000
RESAMPLES_AT_ONCE = 200
SHARE_TO_PAIR = 0.7
"""Of the requests, that both sides must have measured to go in pairs."""
FEWEST_REPETITIONS = 3
TINY = 1e-9


class Side(NamedTuple):
    """A load's requests, in order of repetition and time. Each is (n,)."""

    repetitions: ndarray
    indexes: ndarray
    turns: ndarray
    values: ndarray

    def at(self, places: ndarray) -> Side:
        return Side(*(column[places] for column in self))

    @property
    def blocks(self) -> ndarray:
        """The block of time of each: neighbours are drawn together."""
        import numpy as np

        size = len(self.values)
        return np.arange(size) * min(BLOCKS, size) // max(1, size)


class Sides(NamedTuple):
    """Both runs. In pairs, the same place is the same request."""

    baseline: Side
    current: Side
    is_paired: bool

    @property
    def sizes(self) -> tuple[int, int]:
        return len(self.baseline.values), len(self.current.values)


def latency_differences(
    a: SavedRun,
    b: SavedRun,
    places: tuple[int, int],
    metric: str,
    statistics: Sequence[str],
) -> Iterator[Difference]:
    """Of each statistic that there are enough requests for; none without tables of requests."""
    if a.requests is None or b.requests is None:
        return
    level = a.report.levels[places[0]]
    sides = _pair(
        _side(a.requests, places[0], level, metric),
        _side(b.requests, places[1], b.report.levels[places[1]], metric),
        may_pair=same_workload(a, b),
    )
    smallest = min(sides.sizes)
    wanted = [name or "p50" for name in statistics]
    usable = [name for name in wanted if name in FEWEST and smallest >= FEWEST[name]]
    if usable:
        yield from _Comparer(sides, load_name(level), metric, usable).differences()


def _side(
    requests: Requests,
    place: int,
    level: Level,
    metric: str,
) -> Side:
    import numpy as np

    mask = requests.measured(place, level) & ~np.isnan(requests[metric])
    repetitions = requests["repetition"][mask]
    order = np.lexsort((requests["intended_ns"][mask], repetitions))
    return Side(
        repetitions=repetitions[order],
        indexes=requests["index"][mask][order],
        turns=requests["turn"][mask][order],
        values=requests[metric][mask][order],
    )


def _pair(
    a: Side,
    b: Side,
    *,
    may_pair: bool,
) -> Sides:
    """In pairs if both sides measured most of the same requests."""
    import numpy as np

    if not may_pair:
        return Sides(a, b, is_paired=False)
    places_a = {key: place for place, key in enumerate(_keys(a))}
    pairs = [(places_a[key], place) for place, key in enumerate(_keys(b)) if key in places_a]
    if len(pairs) < SHARE_TO_PAIR * max(len(a.values), len(b.values), 1):
        return Sides(a, b, is_paired=False)
    pairs.sort()
    found = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return Sides(a.at(found[:, 0]), b.at(found[:, 1]), is_paired=True)


def _keys(side: Side) -> Iterator[tuple[int, int, int]]:
    """What a request is known by in both runs."""
    return zip(side.repetitions.tolist(), side.indexes.tolist(), side.turns.tolist(), strict=True)


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
        between = _between_repetitions(self._sides, {*names, "p50"})
        if SHIFT in self._statistics:
            yield self._shift(between.get("p50"))
        if names:
            within = _within_runs(self._sides)
            for name in names:
                worse = _larger(within[name], between.get(name))
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
        half = t_limit(uncertainty.freedom) * uncertainty.error
        interval = (math.exp(estimate - half), math.exp(estimate + half))
        p = two_sided_p(estimate, *uncertainty)
        return self._difference(name, name, math.exp(estimate), interval, p)

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


def _within_runs(sides: Sides) -> dict[str, Uncertainty]:
    """Of the log ratio of each statistic, by drawing the blocks of both runs again."""
    import numpy as np

    rng = np.random.default_rng(0)
    side_a = block_weights(sides.baseline.values, sides.baseline.blocks)
    side_b = block_weights(sides.current.values, sides.current.blocks)
    count_a = len(side_a[1])
    count_b = len(side_b[1])
    ratios: dict[str, list[ndarray]] = {name: [] for name in STATISTICS}
    for _ in range(RESAMPLES // RESAMPLES_AT_ONCE):
        draws_a = block_draws(rng, count_a, RESAMPLES_AT_ONCE)
        draws_b = draws_a
        if not sides.is_paired:
            draws_b = block_draws(rng, count_b, RESAMPLES_AT_ONCE)
        stats_a = resample(*side_a, draws_a)
        stats_b = resample(*side_b, draws_b)
        for name in STATISTICS:
            below = np.maximum(stats_a[name], TINY)
            ratios[name].append(np.log(np.maximum(stats_b[name], TINY) / below))
    freedom = float(min(count_a, count_b) - 1)
    return {
        name: Uncertainty(float(np.std(np.concatenate(parts), ddof=1)), freedom)
        for name, parts in ratios.items()
    }


def _between_repetitions(sides: Sides, names: set[str]) -> dict[str, Uncertainty]:
    """Of each log ratio, from how the repetitions of one side differ among themselves.

    Only where both sides have at least three. It sees drift between runs, which blocks cannot.
    Source: Welch 1947.
    """
    found: dict[str, Uncertainty] = {}
    for name in names:
        logs = [_logs_of_repetitions(side, name) for side in (sides.baseline, sides.current)]
        if min(map(len, logs)) < FEWEST_REPETITIONS:
            continue
        uncertainty = _welch(logs)
        if uncertainty is not None:
            found[name] = uncertainty
    return found


def _logs_of_repetitions(side: Side, name: str) -> list[float]:
    import numpy as np

    found = []
    for repetition in np.unique(side.repetitions):
        values = np.sort(side.values[side.repetitions == repetition])
        found.append(math.log(max(_statistic(values, name), TINY)))
    return found


def _welch(samples: Sequence[Sequence[float]]) -> Uncertainty | None:
    """Of the difference of two means; None if nothing varies."""
    import numpy as np

    shares = [float(np.var(sample, ddof=1)) / len(sample) for sample in samples]
    whole = sum(shares)
    if whole <= 0:
        return None
    parts = [share**2 / (len(sample) - 1) for share, sample in zip(shares, samples, strict=True)]
    return Uncertainty(math.sqrt(whole), whole**2 / sum(parts))


def _statistic(ordered: ndarray, name: str) -> float:
    if name == "mean":
        return float(ordered.mean())
    return percentile(ordered, float(name[1:]))  # type: ignore[arg-type]


def _superiority(sides: Sides) -> float:
    """The chance that a request is faster in the current run, ties half (Vargha & Delaney 2000)."""
    import numpy as np

    values_a = sides.baseline.values
    values_b = sides.current.values
    if sides.is_paired:
        return float(np.mean(values_b < values_a) + np.mean(values_b == values_a) / 2)
    ordered = np.sort(values_a)
    below = np.searchsorted(ordered, values_b, "left")
    upto = np.searchsorted(ordered, values_b, "right")
    return float(np.mean(len(ordered) - (below + upto) / 2) / len(ordered))
