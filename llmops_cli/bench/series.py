"""A level as a time series."""

from __future__ import annotations

import math
from collections.abc import Sequence

from llmops_cli.bench.record import Record, ttft_ms
from llmops_cli.bench.report import Point
from llmops_cli.bench.steady import BIN_NS, SERIES_POINTS, Timeline
from llmops_cli.core.stats import percentile

TTFTS_A_POINT = 200
NS = 10**9

Gauges = dict[str, float]
SampledAt = tuple[float, Gauges, Gauges]
"""(seconds, engine, server): what was seen beside the load."""


class Series:
    """The level at steps of a second (of more, where it is longer than SERIES_POINTS seconds)."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        bins = max(len(timeline.ends), len(timeline.starts))
        bins = max(bins, 1)
        length_s = bins * BIN_NS / NS
        step_s = math.ceil(length_s / SERIES_POINTS)
        self.step_s = float(max(1, step_s))
        self._bins_a_step = round(self.step_s * NS / BIN_NS)
        steps = math.ceil(bins / self._bins_a_step)
        self._ttfts: list[list[float]] = [[] for _ in range(steps)]

    def add(self, record: Record) -> None:
        if record.error is not None:
            return
        value_ms = ttft_ms(record)
        if value_ms is None:
            return
        begun_ns = max(0, record.intended_ns)
        step = begun_ns // (self._bins_a_step * BIN_NS)
        last = len(self._ttfts) - 1
        kept = self._ttfts[min(step, last)]
        if len(kept) < TTFTS_A_POINT:
            kept.append(value_ms)

    def points(self, samples: Sequence[SampledAt]) -> list[Point]:
        """One a step; the last stretch is left out if it is too short for a rate."""
        tokens = self._timeline.tokens()
        served = self._timeline.served()
        in_flight = self._timeline.in_flight()
        errors = self._timeline.errors
        bins_seen = max(len(in_flight), 1)
        whole_s = bins_seen * BIN_NS / NS
        sampled = self._by_step(samples)
        points: list[Point] = []
        for step, ttfts in enumerate(self._ttfts):
            start_s = step * self.step_s
            width_s = min(self.step_s, whole_s - start_s)
            if points and width_s < self.step_s / 2:
                break
            first = step * self._bins_a_step
            bins = slice(first, first + self._bins_a_step)
            engine, server = sampled.get(step, ({}, {}))
            point = Point(
                t_s=start_s,
                requests_per_s=_rate(served[bins], width_s),
                output_tokens_per_s=_rate(tokens[bins], width_s),
                in_flight=_mean(in_flight[bins]),
                errors=round(sum(errors[bins])),
                ttft_ms_p50=_percentile(ttfts, 50),
                ttft_ms_p95=_percentile(ttfts, 95),
                engine=engine,
                server=server,
            )
            points.append(point)
        return points

    def _by_step(self, samples: Sequence[SampledAt]) -> dict[int, tuple[Gauges, Gauges]]:
        """What engine and server were last seen to do in each step."""
        found = {}
        for at_s, engine, server in samples:
            step = int(at_s / self.step_s)
            found[step] = (engine, server)
        return found


def _rate(counts: Sequence[float], seconds: float) -> float:
    per_s = sum(counts) / seconds
    return round(per_s, 3)


def _mean(values: Sequence[float]) -> float:
    count = max(1, len(values))
    return round(sum(values) / count, 3)


def _percentile(values: Sequence[float], q: float) -> float | None:
    if not values:
        return None
    return percentile(sorted(values), q)
