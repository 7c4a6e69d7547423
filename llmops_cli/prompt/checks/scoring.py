"""The verdicts of a case's assertions as one: weights, thresholds, sets and metrics.

Without a threshold all have to pass; with one their weighted mean has to reach it. An assertion of
weight 0 cannot fail.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from llmops_cli.prompt.case_file.suite import Check, CheckSet
from llmops_cli.prompt.checks.verdict import Verdict


class Judged(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An assertion, and what it said."""

    name: str
    passed: bool
    score: float
    reason: str = ""
    error: str = ""
    metric: str = ""
    weight: float = 1.0
    where: str = ""


class Score(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Of one answer. `error`: why there is no verdict, if one assertion had none."""

    passed: bool
    score: float
    reason: str = ""
    error: str = ""
    metrics: dict[str, float] = {}
    parts: tuple[Judged, ...] = ()


class _Sum:
    """Grows by assertions."""

    def __init__(self, threshold: float | None) -> None:
        self._threshold = threshold
        self._score = 0.0
        self._weight = 0.0
        self._failed = ""
        self._metrics: dict[str, list[tuple[float, float]]] = {}
        self.error = ""

    def add(self, part: Judged) -> None:
        self._score += part.score * part.weight
        self._weight += part.weight
        if part.metric:
            self.keep(part.metric, part.score, part.weight)
        is_failed = not part.passed and part.weight != 0
        if is_failed:
            self._failed = part.reason or f"{part.name} did not pass"
        if part.error and part.weight != 0:
            self.error = part.error

    def keep(self, metric: str, score: float, weight: float) -> None:
        values = self._metrics.setdefault(metric, [])
        values.append((score, weight))

    def score(self, parts: Sequence[Judged]) -> Score:
        mean = self._score / self._weight if self._weight else 0.0
        passed = not self._failed
        reason = self._failed
        if self._threshold is not None:
            passed = mean >= self._threshold
            side = "" if passed else f"score {mean:.3g} is below {self._threshold:g}"
            reason = side
        metrics = {name: _mean(values) for name, values in self._metrics.items()}
        return Score(
            passed=passed and not self.error,
            score=mean,
            reason=reason,
            error=self.error,
            metrics=metrics,
            parts=tuple(parts),
        )


def _mean(values: Sequence[tuple[float, float]]) -> float:
    total = sum(weight for _, weight in values)
    if not total:
        return 0.0
    return sum(score * weight for score, weight in values) / total


NOTHING_ASKED = Score(passed=True, score=1.0)


def scored(
    checks: Sequence[Check | CheckSet],
    verdicts: Sequence[Verdict],
    *,
    threshold: float | None,
) -> Score:
    """`verdicts`: one for each assertion, those of sets in their place."""
    if not checks:
        return NOTHING_ASKED
    rest = iter(verdicts)
    whole = _Sum(threshold)
    shown: list[Judged] = []
    for check in checks:
        if isinstance(check, Check):
            part = _judged(check, next(rest))
            shown.append(part)
            whole.add(part)
            continue
        inner = _Sum(check.threshold)
        parts = [_judged(each, next(rest)) for each in check.checks]
        for part in parts:
            inner.add(part)
            if part.metric:
                whole.keep(part.metric, part.score, part.weight)
        shown += parts
        whole.add(_of_set(check, inner.score(parts)))
    return whole.score(shown)


def _judged(check: Check, verdict: Verdict) -> Judged:
    return Judged(
        name=check.name,
        passed=verdict.passed or check.weight == 0,
        score=verdict.score,
        reason=verdict.reason,
        error=verdict.error,
        metric=check.metric,
        weight=check.weight,
        where=check.where,
    )


def _of_set(check: CheckSet, score: Score) -> Judged:
    return Judged(
        name="assert-set",
        passed=score.passed,
        score=score.score,
        reason=score.reason,
        error=score.error,
        metric=check.metric,
        weight=check.weight,
        where=check.where,
    )
