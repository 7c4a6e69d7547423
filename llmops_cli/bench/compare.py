"""Whether one run is faster than another, and how sure that is.

The shift of the whole distribution is tested by ranks, which skew and outliers do not weaken;
medians and tails are compared by a bootstrap. Both work on blocks of time, since neighbours share a
server's state; where both runs sent the same requests, blocks go in pairs. All p-values of a
comparison are adjusted together (Holm), so an A/A comparison raises any false alarm in at most 5 %
of cases. Method: docs/METRICS.md, "Comparing runs".
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from llmops_cli.bench.report import Comparison, Difference, Level
from llmops_cli.bench.requests import Requests
from llmops_cli.bench.saved import SavedRun
from llmops_cli.core.sample import BLOCKS, block_weights, resample
from llmops_cli.core.significance import holm, t_limit, two_sided_p
from llmops_cli.core.stats import STATISTICS, percentile, share_interval

if TYPE_CHECKING:
    from numpy import ndarray

SHIFT = "shift"
HEADLINES = dict.fromkeys(("ttft_ms", "tpot_ms", "e2e_ms"), (SHIFT, "p50", "p95", "p99"))
RATES = ("requests_per_s", "output_tokens_per_s")
FEWEST = {SHIFT: 10, "mean": 10, "p50": 10, "p90": 100, "p95": 200, "p99": 1000}
"""Requests on each side below which a statistic is too coarse to be compared."""
RESAMPLES = 2000
MOST_RANKED = 4096
MIN_EFFECT = 0.02
SURE = 0.05
WORKLOAD = (
    "api",
    "body",
    "concurrency",
    "rate",
    "ramp",
    "steps",
    "burst",
    "trace",
    "time_scale",
    "arrival",
    "burstiness",
    "max_in_flight",
    "requests",
    "duration_s",
    "dataset",
    "input_tokens",
    "output_tokens",
    "shared_prefix_tokens",
    "shared_prefix_share",
    "turns",
    "think_time_s",
    "warm_cache",
    "warmup",
    "seed",
)


def compare(
    baseline: SavedRun,
    current: SavedRun,
    *,
    metrics: Sequence[str] | None = None,
    min_effect: float = MIN_EFFECT,
) -> Comparison:
    """Every headline metric of every load that both runs have; `metrics` (ttft_ms.p95, ...) asks
    for others.

    A ratio is current / baseline. A verdict other than "can't tell" needs an adjusted p under 5 %
    and a change of at least `min_effect`.
    """
    found = [
        difference
        for number_a, number_b in _pairs(baseline.report.levels, current.report.levels)
        for difference in _differences(baseline, current, number_a, number_b, metrics)
    ]
    adjusted = holm([difference.p for difference in found])
    judged = [
        _judge(difference, p, min_effect) for difference, p in zip(found, adjusted, strict=True)
    ]
    warnings = [*_warnings(baseline, current)]
    return Comparison(
        baseline=baseline.name, current=current.name, differences=judged, warnings=warnings
    )


def _pairs(a: Sequence[Level], b: Sequence[Level]) -> list[tuple[int, int]]:
    places = {_load(level): number for number, level in enumerate(b)}
    return [
        (number, places[_load(level)]) for number, level in enumerate(a) if _load(level) in places
    ]


def _load(level: Level) -> str:
    return level.label or f"{level.concurrency} streams"


def _differences(
    a: SavedRun, b: SavedRun, number_a: int, number_b: int, metrics: Sequence[str] | None
) -> Iterator[Difference]:
    level_a = a.report.levels[number_a]
    level_b = b.report.levels[number_b]
    wanted = metrics or [
        f"{name}.{statistic}" for name, all_of in HEADLINES.items() for statistic in all_of
    ]
    wanted = [*wanted] if metrics else [*wanted, "output_tokens_per_s", "error_rate"]
    by_metric: dict[str, list[str]] = {}
    for name in wanted:
        metric, _, statistic = name.partition(".")
        by_metric.setdefault(metric, []).append(statistic)
    for metric, statistics in by_metric.items():
        if metric == "error_rate":
            yield _errors(level_a, level_b)
        elif metric in (*RATES, "goodput_per_s"):
            if (difference := _rate(metric, level_a, level_b)) is not None:
                yield difference
        elif a.requests is not None and b.requests is not None:
            yield from _latencies(a, b, number_a, number_b, metric, statistics or ["p50"])


# -- latencies


def _latencies(
    a: SavedRun, b: SavedRun, number_a: int, number_b: int, metric: str, statistics: Sequence[str]
) -> Iterator[Difference]:
    import numpy as np

    assert a.requests is not None and b.requests is not None
    level_a = a.report.levels[number_a]
    level_b = b.report.levels[number_b]
    left = _side(a.requests, number_a, level_a, metric)
    right = _side(b.requests, number_b, level_b, metric)
    paired = _same_requests(left, right) if _same_workload(a, b) else None
    if paired is not None:
        left = left[:, paired[0]]
        right = right[:, paired[1]]
    (values_a, blocks_a), (values_b, blocks_b) = (
        _blocks(left),
        _blocks(left if paired is not None else right),
    )
    values_b = right[4]
    smallest = min(len(values_a), len(values_b))
    usable = [name for name in statistics if name in FEWEST and smallest >= FEWEST[name]]
    if not usable:
        return
    ratios, freedom = _ratios(values_a, blocks_a, values_b, blocks_b, paired=paired is not None)
    spread = _between_repetitions(left, right, [*{*usable, "p50"} - {SHIFT}])
    superiority = _superiority(values_a, values_b, paired=paired is not None)
    sorted_a = np.sort(values_a)
    sorted_b = np.sort(values_b)
    if SHIFT in usable:
        usable.remove(SHIFT)
        shift = _Shift(values_a, blocks_a, values_b, blocks_b, paired=paired is not None)
        ratio, interval, p = shift.result(spread.get("p50"))
        yield Difference(
            load=_load(level_a),
            metric=f"{metric}.{SHIFT}",
            baseline=_statistic(sorted_a, "p50"),
            current=_statistic(sorted_b, "p50"),
            ratio=ratio,
            ratio_ci95=interval,
            p=p,
            superiority=superiority,
            requests=(len(values_a), len(values_b)),
            paired=paired is not None,
        )
    for name in usable:
        value_a = _statistic(sorted_a, name)
        value_b = _statistic(sorted_b, name)
        if value_a <= 0 or value_b <= 0:
            continue
        estimate = math.log(value_b / value_a)
        error = float(np.std(ratios[name], ddof=1))
        df = freedom
        if name in spread and spread[name][0] > error:
            error, df = spread[name]
        half = t_limit(df) * error
        yield Difference(
            load=_load(level_a),
            metric=f"{metric}.{name}",
            baseline=value_a,
            current=value_b,
            ratio=math.exp(estimate),
            ratio_ci95=(math.exp(estimate - half), math.exp(estimate + half)),
            p=two_sided_p(estimate, error, df),
            superiority=superiority,
            requests=(len(values_a), len(values_b)),
            paired=paired is not None,
        )


def _side(requests: Requests, number: int, level: Level, metric: str) -> ndarray:
    """Rows (5, n): repetition, index, turn, intended ns, value; in order of repetition and time."""
    import numpy as np

    mask = requests.measured(number, level) & ~np.isnan(requests[metric])
    names = ("repetition", "index", "turn", "intended_ns", metric)
    rows = np.stack([requests[name][mask].astype(float) for name in names])
    return rows[:, np.lexsort((rows[3], rows[0]))]


def _same_workload(a: SavedRun, b: SavedRun) -> bool:
    left = a.report.manifest.recipe
    right = b.report.manifest.recipe
    return all(left.get(name) == right.get(name) for name in WORKLOAD)


def _same_requests(left: ndarray, right: ndarray) -> tuple[ndarray, ndarray] | None:
    """Places of the requests that both sides measured, if they are most of them."""
    import numpy as np

    keys_a = {key: place for place, key in enumerate(zip(*left[:3].tolist(), strict=True))}
    pairs = [
        (keys_a[key], place)
        for place, key in enumerate(zip(*right[:3].tolist(), strict=True))
        if key in keys_a
    ]
    if len(pairs) < 0.7 * max(left.shape[1], right.shape[1], 1):
        return None
    pairs.sort()
    found = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return found[:, 0], found[:, 1]


def _blocks(side: ndarray) -> tuple[ndarray, ndarray]:
    """Values and the block of time of each: neighbours share a server's state, so they are drawn
    together.
    """
    import numpy as np

    size = side.shape[1]
    return side[4], np.arange(size) * min(BLOCKS, size) // max(1, size)


def _ratios(
    values_a: ndarray, blocks_a: ndarray, values_b: ndarray, blocks_b: ndarray, *, paired: bool
) -> tuple[dict[str, ndarray], float]:
    """Log ratios of each statistic over resamples, and the degrees of freedom."""
    import numpy as np

    rng = np.random.default_rng(0)
    side_a = block_weights(values_a, blocks_a)
    side_b = block_weights(values_b, blocks_b)
    count_a = len(side_a[1])
    count_b = len(side_b[1])
    found: dict[str, list[ndarray]] = {name: [] for name in STATISTICS}
    for _ in range(RESAMPLES // 200):
        draws_a = rng.multinomial(count_a, np.full(count_a, 1 / count_a), size=200)
        draws_b = (
            draws_a if paired else rng.multinomial(count_b, np.full(count_b, 1 / count_b), size=200)
        )
        stats_a = resample(*side_a, draws_a)
        stats_b = resample(*side_b, draws_b)
        for name in STATISTICS:
            found[name].append(
                np.log(np.maximum(stats_b[name], 1e-9) / np.maximum(stats_a[name], 1e-9))
            )
    return {name: np.concatenate(parts) for name, parts in found.items()}, float(
        min(count_a, count_b) - 1
    )


class _Shift:
    """By which factor a typical latency changed (Hodges & Lehmann 1963, on logarithms), tested by
    the chance of superiority (Mann & Whitney 1947) with a variance that allows for neighbours being
    alike.
    """

    def __init__(
        self,
        values_a: ndarray,
        blocks_a: ndarray,
        values_b: ndarray,
        blocks_b: ndarray,
        *,
        paired: bool,
    ) -> None:
        import numpy as np

        logs_a, logs_b = (np.log(np.maximum(values, 1e-9)) for values in (values_a, values_b))
        self._a = np.sort(logs_a)
        self._b = np.sort(logs_b)
        # each value's part in the statistic: how the other side's distribution ranks it
        parts_a = -_ranks(self._b, logs_a)
        parts_b = _ranks(self._a, logs_b)
        if paired:
            self._variance, blocks = _block_variance(parts_a + parts_b, blocks_a)
        else:
            (left, some), (right, others) = (
                _block_variance(parts_a, blocks_a),
                _block_variance(parts_b, blocks_b),
            )
            self._variance = left + right
            blocks = min(some, others)
        self._above = float(parts_b.mean())
        self._freedom = float(max(1, blocks - 1))
        if len(self._a) > MOST_RANKED or len(self._b) > MOST_RANKED:
            self._a, self._b = (
                values[:: max(1, len(values) // MOST_RANKED)] for values in (self._a, self._b)
            )

    def result(self, extra: tuple[float, float] | None) -> tuple[float, tuple[float, float], float]:
        """Ratio, its 95 % interval, p. `extra` is the error of the logarithm seen between
        repetitions.
        """
        error = math.sqrt(self._variance)
        middle = self._solve(0.5)
        limit = t_limit(self._freedom)
        low = self._solve(0.5 + limit * error)
        high = self._solve(0.5 - limit * error)
        p = two_sided_p(self._above - 0.5, error, self._freedom)
        if extra is not None:
            half = t_limit(extra[1]) * extra[0]
            low = min(low, middle - half)
            high = max(high, middle + half)
            p = max(p, two_sided_p(middle, *extra))
        return math.exp(middle), (math.exp(low), math.exp(high)), p

    def _solve(self, wanted: float) -> float:
        """The shift of B that leaves it above A with the chance `wanted`."""
        low = float(self._b[0] - self._a[-1]) - 1e-9
        high = float(self._b[-1] - self._a[0]) + 1e-9
        for _ in range(50):
            middle = (low + high) / 2
            if float(_ranks(self._a, self._b - middle).mean()) > wanted:
                low = middle
            else:
                high = middle
        return (low + high) / 2


def _ranks(ordered: ndarray, values: ndarray) -> ndarray:
    """The share of `ordered` below each value, ties half."""
    import numpy as np

    return (
        np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")
    ) / (2 * len(ordered))


def _block_variance(parts: ndarray, blocks: ndarray) -> tuple[float, int]:
    """The variance of the mean of `parts` from the sums of their blocks, and how many blocks there
    are.
    """
    import numpy as np

    sums = np.bincount(blocks, weights=parts - parts.mean())
    count = len(sums)
    return float((sums**2).sum()) * count / max(1, count - 1) / len(parts) ** 2, count


def _between_repetitions(
    left: ndarray, right: ndarray, names: Sequence[str]
) -> dict[str, tuple[float, float]]:
    """(standard error, degrees of freedom) of each log ratio from how repetitions of one side
    differ among themselves, where both sides have at least three: it sees drift between runs, which
    blocks cannot.
    """
    import numpy as np

    found: dict[str, tuple[float, float]] = {}
    for name in names:
        sides = []
        for rows in (left, right):
            each = [np.sort(rows[4][rows[0] == repetition]) for repetition in np.unique(rows[0])]
            sides.append(
                [math.log(max(_statistic(values, name), 1e-9)) for values in each if len(values)]
            )
        if min(map(len, sides)) < 3:
            continue
        shares = [float(np.var(side, ddof=1)) / len(side) for side in sides]
        whole = sum(shares)
        if whole > 0:  # Welch 1947
            df = whole**2 / sum(
                share**2 / (len(side) - 1) for share, side in zip(shares, sides, strict=True)
            )
            found[name] = (math.sqrt(whole), df)
    return found


def _statistic(ordered: ndarray, name: str) -> float:
    return float(ordered.mean()) if name == "mean" else percentile(ordered, float(name[1:]))  # type: ignore[arg-type]


def _superiority(values_a: ndarray, values_b: ndarray, *, paired: bool) -> float:
    """The chance that a request is faster in B than in A, ties half (Vargha & Delaney 2000)."""
    import numpy as np

    if paired:
        return float(np.mean(values_b < values_a) + np.mean(values_b == values_a) / 2)
    ordered = np.sort(values_a)
    below = np.searchsorted(ordered, values_b, "left")
    upto = np.searchsorted(ordered, values_b, "right")
    return float(np.mean(len(ordered) - (below + upto) / 2) / len(ordered))


# -- rates and errors


def _rate(metric: str, a: Level, b: Level) -> Difference | None:
    value_a = getattr(a, metric)
    value_b = getattr(b, metric)
    if not value_a or not value_b:
        return None
    error = math.hypot(_relative_error(a, metric), _relative_error(b, metric))
    df = float(2 * BLOCKS)
    each = [level.rates_each.get(metric, []) for level in (a, b)]
    if min(map(len, each)) >= 3:
        spreads = [_log_variance(values) for values in each]
        if math.sqrt(sum(spreads)) > error:
            error = math.sqrt(sum(spreads))
            df = float(min(map(len, each)) - 1)
    estimate = math.log(value_b / value_a)
    half = t_limit(df) * error
    return Difference(
        load=_load(a),
        metric=metric,
        baseline=value_a,
        current=value_b,
        ratio=math.exp(estimate),
        ratio_ci95=(math.exp(estimate - half), math.exp(estimate + half)),
        p=two_sided_p(estimate, error, df) if error else 1.0,
        requests=(a.measured, b.measured),
    )


def _relative_error(level: Level, metric: str) -> float:
    low, high = level.rates_ci95.get(metric, (0.0, 0.0))
    middle = getattr(level, metric)
    return (high - low) / 3.92 / middle if middle else 0.0


def _log_variance(values: Sequence[float]) -> float:
    logs = [math.log(value) for value in values if value > 0]
    mean = sum(logs) / max(1, len(logs))
    return sum((x - mean) ** 2 for x in logs) / max(1, len(logs) - 1) / max(1, len(logs))


def _errors(a: Level, b: Level) -> Difference:
    """Rates as shares; the interval is of their difference (Newcombe 1998), not of a ratio."""
    share_a, share_b = (level.errors / max(1, level.requests) for level in (a, b))
    (low_a, high_a), (low_b, high_b) = (
        share_interval(level.errors, level.requests) for level in (a, b)
    )
    change = share_b - share_a
    low = change - math.hypot(share_b - low_b, high_a - share_a)
    high = change + math.hypot(high_b - share_b, share_a - low_a)
    pooled = (a.errors + b.errors) / max(1, a.requests + b.requests)
    error = math.sqrt(pooled * (1 - pooled) * (1 / max(1, a.requests) + 1 / max(1, b.requests)))
    return Difference(
        load=_load(a),
        metric="error_rate",
        baseline=share_a,
        current=share_b,
        change=change,
        change_ci95=(low, high),
        p=two_sided_p(change, error, 1e6),
        requests=(a.requests, b.requests),
    )


# -- words


def _judge(difference: Difference, p: float, min_effect: float) -> Difference:
    verdict = "can't tell"
    if difference.metric == "error_rate":
        if p < SURE and abs(difference.change or 0.0) >= 0.001:
            verdict = "more errors" if (difference.change or 0.0) > 0 else "fewer errors"
    elif (
        p < SURE
        and difference.ratio is not None
        and abs(math.log(difference.ratio)) >= math.log1p(min_effect)
    ):
        grew = difference.ratio > 1
        verdict = "faster" if grew == difference.metric.endswith("_per_s") else "slower"
    return msgspec.structs.replace(difference, p=p, verdict=verdict)


def _warnings(a: SavedRun, b: SavedRun) -> Iterator[str]:
    left = a.report.manifest
    right = b.report.manifest
    for run in (a, b):
        if not run.report.manifest.complete:
            yield f"{run.name} is partial"
        for level in run.report.levels:
            for reason in level.invalid_reasons:
                yield f"{run.name} is INVALID at {_load(level)}: {reason}"
        if run.requests is None:
            yield f"{run.name} has no per-request table: latencies cannot be compared"
    yield from _unlike("hardware", left.hardware, right.hardware)
    yield from _unlike("version", left.versions, right.versions)
    yield from _unlike(
        "workload", *({name: m.recipe.get(name) for name in WORKLOAD} for m in (left, right))
    )
    yield from _unlike(
        "engine",
        *({name: m.recipe.get(name) for name in ("backend", "options")} for m in (left, right)),
    )
    if left.digests.get("model") != right.digests.get("model") or left.recipe.get(
        "model"
    ) != right.recipe.get("model"):
        yield f"model differs: {left.recipe.get('model')} -> {right.recipe.get('model')}"
    unmatched = {_load(level) for level in a.report.levels} ^ {
        _load(level) for level in b.report.levels
    }
    if unmatched:
        yield f"only one run has: {', '.join(sorted(unmatched))}"
    if min((len(level.windows) for run in (a, b) for level in run.report.levels), default=0) < 3:
        yield "fewer than 3 repetitions: drift between runs is not in the intervals (bench --repeats 3 sees it)"


def _unlike(kind: str, left: dict[str, Any], right: dict[str, Any]) -> Iterator[str]:
    """Any: manifests hold what was found."""
    names = [name for name in {**left, **right} if left.get(name) != right.get(name)]
    shown = [f"{name} {_short(left.get(name))} -> {_short(right.get(name))}" for name in names[:6]]
    if names:
        yield (
            f"{kind} differs: "
            + ", ".join(shown)
            + (f" and {len(names) - 6} more" if len(names) > 6 else "")
        )


def _short(value: object) -> str:
    text = "none" if value in (None, "", [], {}) else str(value)
    return text if len(text) <= 40 else text[:37] + "..."
