"""A level over time, and which stretch of it is steady."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from itertools import accumulate

from llmops_cli.bench.arrivals import Load
from llmops_cli.bench.record import Record, visible_tokens
from llmops_cli.bench.report import Window

BIN_NS = 10_000_000
SERIES_POINTS = 600
MSER_BATCHES = 40
FEWEST = 10
"""Requests that a steady state needs."""
LEAST_OF_PLAN = 0.7
"""Of its planned time, before which a level has been stopped."""
FEWEST_BINS = 10
"""In a quarter of a window, to tell whether requests pile up."""


class Curve:
    """An amount per bin, from points and from stretches that spread evenly."""

    def __init__(self) -> None:
        self._points: list[float] = []
        self._slopes: list[float] = []

    def point(self, at_ns: int, amount: float) -> None:
        _add(self._points, at_ns, amount)

    def stretch(
        self,
        start_ns: int,
        end_ns: int,
        amount: float,
    ) -> None:
        low = start_ns // BIN_NS
        high = end_ns // BIN_NS
        if low == high or end_ns <= start_ns:
            self.point(end_ns, amount)
            return
        per_ns = amount / (end_ns - start_ns)
        after_first_ns = (low + 1) * BIN_NS
        last_ns = high * BIN_NS
        in_first = per_ns * (after_first_ns - start_ns)
        in_last = per_ns * (end_ns - last_ns)
        self.point(start_ns, in_first)
        self.point(end_ns, in_last)
        if high > low + 1:
            per_bin = per_ns * BIN_NS
            _add(self._slopes, after_first_ns, per_bin)
            _add(self._slopes, last_ns, -per_bin)

    def values(self) -> list[float]:
        size = max(len(self._points), len(self._slopes))
        slopes = _padded(self._slopes, size)
        points = _padded(self._points, size)
        levels = accumulate(slopes)
        sums = map(operator.add, points, levels)
        return [max(0.0, value) for value in sums]


class Timeline:
    """Arrivals, ends and tokens in bins of 10 ms.

    Its size depends on the time, not on the requests.
    """

    def __init__(self) -> None:
        self.starts: list[float] = []
        self.ends: list[float] = []
        self.errors: list[float] = []
        self._tokens = Curve()
        self._served = Curve()
        self.first_ns: int | None = None
        self.last_start_ns = 0
        self.last_end_ns = 0
        self.requests = 0
        self.good = 0

    def add(self, record: Record) -> None:
        start = max(0, record.intended_ns)
        self.requests += 1
        if self.first_ns is None:
            self.first_ns = start
        self.first_ns = min(self.first_ns, start)
        self.last_start_ns = max(self.last_start_ns, start)
        _add(self.starts, start, 1)
        _add(self.ends, record.done_ns, 1)
        first_ns = record.first_ns
        end_ns = record.end_ns
        if record.error is not None or end_ns is None:
            _add(self.errors, record.done_ns, 1)
            return
        self.good += 1
        self.last_end_ns = max(self.last_end_ns, end_ns)
        self._served.stretch(start, end_ns, 1)
        tokens = visible_tokens(record)
        if first_ns is None:
            self._tokens.stretch(start, end_ns, tokens)
            return
        # one token at the first chunk, the others evenly up to the last
        first_tokens = min(tokens, 1)
        self._tokens.point(first_ns, first_tokens)
        if tokens > 1:
            self._tokens.stretch(first_ns, end_ns, tokens - 1)

    def tokens(self) -> list[float]:
        """Output tokens of successful requests in each bin."""
        return self._tokens.values()

    def served(self) -> list[float]:
        """Successful requests in each bin, each spread over the time it took.

        So no wave of ends can fall just inside or outside a window.
        """
        return self._served.values()

    def in_flight(self) -> list[float]:
        """Requests under way at the end of each bin."""
        size = max(len(self.starts), len(self.ends))
        starts = _padded(self.starts, size)
        ends = _padded(self.ends, size)
        moves = map(operator.sub, starts, ends)
        return list(accumulate(moves))

    def window(self, load: Load) -> Window:
        """Without the warm-up and the drain where the data allow it (docs/METRICS.md)."""
        first = self.first_ns or 0
        planned = self._planned_end_ns(load)
        end = max(self.last_end_ns, first + 1, planned)
        if load.is_stationary:
            stop = max(self.last_start_ns, planned)
            reason, start = self._steady_start(load, first, stop)
        else:
            reason = f"a {load.kind} load has no steady state"
        if reason:
            start_s = first / 1e9
            end_s = end / 1e9
            return Window(start_s=start_s, end_s=end_s, found="whole", reason=reason)
        start_s = start / 1e9
        stop_s = stop / 1e9
        return Window(start_s=start_s, end_s=stop_s, found="steady")

    def _planned_end_ns(self, load: Load) -> int:
        """An open load ends when its time is up, not with its last arrival.

        0 if it was stopped before, or is closed.
        """
        if load.kind == "closed":
            return 0
        duration_s = load.duration_s or 0
        planned = int(duration_s * 1e9)
        if planned * LEAST_OF_PLAN > self.last_end_ns:
            return 0
        return planned

    def _steady_start(
        self,
        load: Load,
        first: int,
        stop: int,
    ) -> tuple[str, int]:
        """Why there is no steady state, or the nanosecond at which it begins."""
        wanted = FEWEST
        start = first
        if load.kind == "closed":
            streams = load.concurrency or 1
            wanted = max(FEWEST, streams)
            waves = self._first_wave_ns(streams)
            if waves is None:
                return "no stream ended a request", 0
            start = waves
        if self._starts_between(start, stop) < wanted:
            return f"too few requests: a steady state needs {wanted} after the first wave", 0
        series = self.in_flight()
        if load.kind == "closed":
            series = self.tokens()
            if not any(series):  # vectors have no tokens
                series = self.served()
        start = _truncate(series, start, stop)
        if self._starts_between(start, stop) < wanted:
            return "it never settled", 0
        return "", start

    def _first_wave_ns(self, streams: int) -> int | None:
        """When as many requests had ended as there are streams."""
        ended_by = accumulate(self.ends)
        for place, ended in enumerate(ended_by):
            if ended >= streams:
                return (place + 1) * BIN_NS
        return None

    def _starts_between(self, start_ns: int, stop_ns: int) -> float:
        first = start_ns // BIN_NS
        last = stop_ns // BIN_NS
        return sum(self.starts[first : last + 1])

    def is_growing(self, window: Window) -> bool:
        """Whether requests piled up over the window: the server was offered more than it can do."""
        first = int(window.start_s * 1e9) // BIN_NS
        last = int(window.end_s * 1e9) // BIN_NS
        inside = slice(first, last + 1)
        series = self.in_flight()[inside]
        quarter = len(series) // 4
        if quarter < FEWEST_BINS:
            return False
        early = sum(series[:quarter]) / quarter
        late = sum(series[-quarter:]) / quarter
        limit = 1.5 * early + 4
        return late > limit


def _add(
    bins: list[float],
    at_ns: int,
    amount: float,
) -> None:
    place = max(0, at_ns // BIN_NS)
    missing = place + 1 - len(bins)
    if missing > 0:
        bins.extend([0.0] * missing)
    bins[place] += amount


def _padded(bins: list[float], size: int) -> list[float]:
    missing = size - len(bins)
    return bins + [0.0] * missing


def _truncate(
    series: Sequence[float],
    start_ns: int,
    stop_ns: int,
) -> int:
    """Where the warm-up ends: the cut, in the first half, that leaves the mean known best.

    A cut is taken only if it moves the mean by over two standard errors, else it would only waste
    data. Source: MSER, White 1997.
    """
    first = start_ns // BIN_NS
    last = stop_ns // BIN_NS
    values = series[first : last + 1]
    size = len(values) // MSER_BATCHES
    if size < 1:
        return start_ns
    starts = range(0, size * MSER_BATCHES, size)
    batches = [_mean(values[start : start + size]) for start in starts]
    cuts = range(MSER_BATCHES // 2)
    cut = min(cuts, key=lambda place: _mean_variance(batches[place:]))
    kept = batches[cut:]
    moved = abs(_mean(kept) - _mean(batches))
    error = math.sqrt(_mean_variance(kept))
    if moved <= 2 * error:
        return start_ns
    return start_ns + cut * size * BIN_NS


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _mean_variance(values: Sequence[float]) -> float:
    """Of their mean."""
    mean = _mean(values)
    deviations = [value - mean for value in values]
    squares = sum(deviation**2 for deviation in deviations)
    return squares / len(values) ** 2
