"""Limits on mean latencies, `ttft=500ms,tpot=50ms`, and whether a plan keeps within them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from enum import StrEnum

import msgspec

from llmops_cli.core.conditions import Condition, Grammar, Operator, Unit, parse_conditions
from llmops_cli.core.errors import UsageError
from llmops_cli.sizing.figures import BAND_RATE, Figure

TTFT = "ttft"
TPOT = "tpot"
GRAMMAR = Grammar(
    noun="objective",
    metrics=(TTFT, TPOT),
    operators=(Operator.IS, Operator.AT_MOST, Operator.BELOW),
    units=(Unit.MILLISECONDS, Unit.SECONDS),
    refusal="'{text}' is no objective",
    example="for example ttft=500ms,tpot=50ms",
)


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds; infinite where nothing is asked for."""

    ttft_s: float = math.inf
    tpot_s: float = math.inf


class Kept(StrEnum):
    """Whether a mean keeps within its limit. UNSURE: the limit lies in the figure's band."""

    YES = "yes"
    UNSURE = "unsure"
    NO = "no"


class Objective(msgspec.Struct, frozen=True, kw_only=True):
    """A limit beside what is predicted."""

    metric: str
    limit_ms: float
    figure: Figure

    @property
    def kept(self) -> Kept:
        low = self.figure.low
        high = self.figure.high
        if low is None or high is None or low > self.limit_ms:
            return Kept.NO
        return Kept.YES if high <= self.limit_ms else Kept.UNSURE

    @property
    def told(self) -> str:
        limit = f"{_digits(self.limit_ms)} ms"
        if self.figure.value is None:
            return f"{self.metric} misses {limit}: {self.figure.formula}"
        mean = f"{self.metric} {_digits(self.figure.number)} ms"
        band = f"{_digits(self.figure.low)} to {_digits(self.figure.high)} ms"
        if self.kept is Kept.YES:
            return f"{mean} keeps within {limit}"
        if self.kept is Kept.NO:
            return f"{mean} misses {limit}: the {BAND_RATE:.0%} band is {band}"
        word = "keeps within" if self.figure.number <= self.limit_ms else "misses"
        return f"{mean} {word} {limit}, but not surely: the {BAND_RATE:.0%} band is {band}"


def _digits(value: float | None) -> str:
    """Three at most, and never a power of ten."""
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def read_limits(text: str | None) -> Limits:
    """Raises: UsageError for no objective, one without a unit, or one of something but a mean."""
    if text is None:
        return Limits()
    conditions = parse_conditions(text, GRAMMAR)
    if not conditions:
        raise UsageError(f"--slo '{text}' names no objective", hint=GRAMMAR.example)
    found: dict[str, float] = {}
    for each in conditions:
        _check(each)
        if each.metric in found:
            raise UsageError(f"--slo has two limits for {each.metric}", hint="give one")
        found[each.metric] = each.limit / 1000
    return Limits(ttft_s=found.get(TTFT, math.inf), tpot_s=found.get(TPOT, math.inf))


def _check(each: Condition) -> None:
    if each.part:
        raise UsageError(
            f"'{each.text}': a plan predicts means, and no {each.part} of {each.metric}",
            hint=f"{each.metric}=... here; percentiles are measured: llmops bench --slo",
        )
    if each.unit is None:
        raise UsageError(f"'{each.text}' has no unit", hint=GRAMMAR.example)


def objectives_of(
    limits: Limits,
    *,
    ttft_ms: Figure,
    tpot_ms: Figure,
) -> tuple[Objective, ...]:
    """Those that were asked for."""
    return tuple(_objectives(limits, ttft_ms, tpot_ms))


def _objectives(limits: Limits, ttft_ms: Figure, tpot_ms: Figure) -> Iterator[Objective]:
    if not math.isinf(limits.ttft_s):
        yield Objective(metric=TTFT, limit_ms=limits.ttft_s * 1000, figure=ttft_ms)
    if not math.isinf(limits.tpot_s):
        yield Objective(metric=TPOT, limit_ms=limits.tpot_s * 1000, figure=tpot_ms)


def all_kept(objectives: tuple[Objective, ...]) -> Kept:
    """The worst of them."""
    found = {each.kept for each in objectives}
    for worst in (Kept.NO, Kept.UNSURE):
        if worst in found:
            return worst
    return Kept.YES
