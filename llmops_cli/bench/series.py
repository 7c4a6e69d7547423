"""A level as a time series."""

from __future__ import annotations

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
        bins = max(len(timeline.ends), len(timeline.starts), 1)
        self.step_s = float(max(1, -(-bins * BIN_NS // (NS * SERIES_POINTS))))
        self._bins_a_step = round(self.step_s * NS / BIN_NS)
        steps = -(-bins // self._bins_a_step)
        self._ttfts: list[list[float]] = [[] for _ in range(steps)]

    def add(self, record: Record) -> None:
        if record.error is not None:
            return
        value_ms = ttft_ms(record)
        if value_ms is None:
            return
        step = max(0, record.intended_ns) // (self._bins_a_step * BIN_NS)
        kept = self._ttfts[min(step, len(self._ttfts) - 1)]
        if len(kept) < TTFTS_A_POINT:
            kept.append(value_ms)

    def points(self, samples: Sequence[SampledAt]) -> list[Point]:
        """One a step; the last stretch is left out if it is too short for a rate."""
        tokens = self._timeline.tokens()
        served = self._timeline.served()
        in_flight = self._timeline.in_flight()
        whole_s = max(len(in_flight), 1) * BIN_NS / NS
        sampled = {int(at_s / self.step_s): (engine, server) for at_s, engine, server in samples}
        points: list[Point] = []
        for step, ttfts in enumerate(self._ttfts):
            start_s = step * self.step_s
            width_s = min(self.step_s, whole_s - start_s)
            if points and width_s < self.step_s / 2:
                break
            bins = slice(step * self._bins_a_step, (step + 1) * self._bins_a_step)
            busy = in_flight[bins]
            engine, server = sampled.get(step, ({}, {}))
            point = Point(
                t_s=start_s,
                requests_per_s=round(sum(served[bins]) / width_s, 3),
                output_tokens_per_s=round(sum(tokens[bins]) / width_s, 3),
                in_flight=round(sum(busy) / max(1, len(busy)), 3),
                errors=round(sum(self._timeline.errors[bins])),
                ttft_ms_p50=_percentile(ttfts, 50),
                ttft_ms_p95=_percentile(ttfts, 95),
                engine=engine,
                server=server,
            )
            points.append(point)
        return points


def _percentile(values: Sequence[float], q: float) -> float | None:
    if not values:
        return None
    return percentile(sorted(values), q)
