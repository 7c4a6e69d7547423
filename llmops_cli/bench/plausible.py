"""What no run can have measured: values of a saved report that somebody has changed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import pairwise

import msgspec

from llmops_cli.bench.report import BenchReport, Level
from llmops_cli.core.counted import counted
from llmops_cli.core.stats import QUANTILES, Distribution

ROUNDING = 1e-6
"""Relative: figures of long runs come from buckets and sums."""
SLACK = 0.05
"""Relative: older versions counted whole bins at the edges of a window."""
BUCKET = 0.006
"""Relative: two statistics of one value may lie in neighbouring buckets."""


def impossible(report: BenchReport) -> str | None:
    """The first of them with its place; None for a report that can be true."""
    for number, level in enumerate(report.levels):
        place = f"level {number + 1} ({level.label})"
        for reason in _of_level(level):
            return f"{place}: {reason}"
    for name, size in _numbers(report.memory):
        if size < 0:
            return f"memory: {name} {size:g} is under 0"
    if report.startup is not None:
        for name, value in _numbers(report.startup):
            if value < 0:
                return f"startup: {name} {value:g} is under 0"
    return None


def _of_level(level: Level) -> Iterator[str]:
    yield from _negative(level)
    if level.errors > level.requests:
        yield f"{counted(level.errors, 'error')} of {counted(level.requests, 'request')}"
    if level.measured > level.requests - level.errors:
        good = level.requests - level.errors
        yield f"{level.measured} measured of {good} successful requests"
    kinds = sum(level.error_kinds.values())
    if level.error_kinds and kinds != level.errors:
        yield f"{level.errors} errors, and kinds of {kinds}"
    if level.valid == bool(level.invalid_reasons):
        yield "whether it is valid does not fit its reasons"
    if level.hidden_tokens > level.output_tokens:
        yield "more hidden tokens than tokens"
    yield from _of_intervals("rates", level.rates_ci95)
    for window in level.windows:
        if window.end_s < window.start_s or window.start_s < 0:
            yield f"a window from {window.start_s:g} to {window.end_s:g} s"
    for slo in level.slos:
        yield from _of_shares(slo.text, (slo.share, slo.needed, *slo.share_ci95))
    yield from _order(level)
    for name, found in _distributions(level):
        for reason in _of_distribution(found, most=level.requests, name=name):
            yield f"{name}: {reason}"


def _order(level: Level) -> Iterator[str]:
    """No answer ends before it begins, and none is served twice."""
    for name in ("mean", *QUANTILES):
        first = getattr(level.ttft_ms, name)
        last = getattr(level.e2e_ms, name)
        same_requests = level.ttft_ms.count == level.e2e_ms.count
        if same_requests and first is not None and last is not None and first > last * (1 + BUCKET):
            yield f"{name} of TTFT {first:g} is over that of E2E {last:g}"
    served = level.requests_per_s * level.duration_s
    if served > (level.requests - level.errors) * (1 + SLACK) + 1:
        yield f"{served:.0f} requests served of {level.requests}"


def _negative(level: Level) -> Iterator[str]:
    for name, number in _numbers(level):
        if number < 0 or not math.isfinite(number):
            yield f"{name} is {number:g}"


def _numbers(struct: msgspec.Struct) -> Iterator[tuple[str, float]]:
    for name in struct.__struct_fields__:
        value = getattr(struct, name)
        if isinstance(value, int | float):
            yield name, value


def _distributions(level: Level) -> Iterator[tuple[str, Distribution]]:
    for name in level.__struct_fields__:
        value = getattr(level, name)
        if isinstance(value, Distribution):
            yield name, value


def _of_shares(text: str, shares: tuple[float, ...]) -> Iterator[str]:
    for share in shares:
        if not 0 <= share <= 1:
            yield f"{text}: a share of {share:g}"


def _of_distribution(
    found: Distribution,
    *,
    most: int,
    name: str,
) -> Iterator[str]:
    if found.count < 0:
        yield counted(found.count, "sample")
    if found.count > most and name != "itl_ms":
        yield f"{counted(found.count, 'sample')} of {counted(most, 'request')}"
    if found.min is not None and found.min < 0:
        yield f"min {found.min:g} is under 0"
    steps = ["min", *QUANTILES, "max"]
    values = [(step, getattr(found, step)) for step in steps]
    told = [(step, value) for step, value in values if value is not None]
    for (below, low), (above, high) in pairwise(told):
        if low > high + BUCKET * abs(high) + ROUNDING:
            yield f"{below} {low:g} is over {above} {high:g}"
    if (
        found.count > 0
        and found.mean is not None
        and found.min is not None
        and found.max is not None
    ):
        slack = BUCKET * abs(found.max) + ROUNDING
        if not found.min - slack <= found.mean <= found.max + slack:
            yield f"the mean {found.mean:g} is outside {found.min:g} to {found.max:g}"
    yield from _of_intervals("ci95", found.ci95)


def _of_intervals(kind: str, intervals: Mapping[str, tuple[float, float]]) -> Iterator[str]:
    for name, (low, high) in intervals.items():
        if low > high or low < 0:
            yield f"{kind}: {name} from {low:g} to {high:g}"
