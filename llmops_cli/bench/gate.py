"""Conditions that fail a build: `ttft_ms.p95 > +10%` against a baseline, `error_rate > 1%` on its
own.

A condition fails only where the value is beyond its limit and chance does not explain it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from llmops_cli.bench.compare import FEWEST, RATES, SHIFT, SURE, compare
from llmops_cli.bench.report import Difference, Level
from llmops_cli.bench.saved import SavedRun
from llmops_cli.core.conditions import (
    Condition,
    Grammar,
    Operator,
    Unit,
    parse_condition,
)
from llmops_cli.core.errors import UsageError, unknown_name
from llmops_cli.core.stats import STATISTICS, Distribution, share_interval
from llmops_cli.show.gates import Judged, Outcome

LATENCIES = ("ttft_ms", "tpot_ms", "itl_ms", "e2e_ms", "normalized_ms", "queue_delay_ms")
ERROR_RATE = "error_rate"
SHARES = (*RATES, "goodput_per_s", ERROR_RATE)
GRAMMAR = Grammar(
    metrics=(*LATENCIES, *SHARES),
    operators=(Operator.ABOVE, Operator.BELOW),
    units=(Unit.PERCENT, Unit.MILLISECONDS),
    has_changes=True,
    example=(
        "for example 'ttft_ms.p95 > +10%', 'output_tokens_per_s < -5%', 'tpot_ms.p99 > 50', "
        "'error_rate > 1%'"
    ),
)


def parse_gate(text: str) -> Condition:
    """Raises: UsageError for an unknown metric or statistic, or a condition that makes no sense."""
    condition = parse_condition(text, GRAMMAR)
    _check_statistic(condition)
    if condition.is_relative:
        _check_change(condition)
    elif (condition.unit is Unit.PERCENT) != (condition.metric == ERROR_RATE):
        raise _senseless(condition, "a change needs its sign, as +10%, and a limit its own unit")
    return condition


def _check_statistic(condition: Condition) -> None:
    if condition.metric in SHARES and condition.part:
        raise _senseless(condition, f"{condition.metric} has no {condition.part}")
    if condition.metric in LATENCIES and condition.part not in (*STATISTICS, SHIFT):
        raise unknown_name("statistic", condition.part, [*STATISTICS, SHIFT])
    if condition.part == SHIFT and not condition.is_relative:
        raise _senseless(condition, "a shift is relative to a baseline")


def _check_change(condition: Condition) -> None:
    if condition.unit is not Unit.PERCENT:
        raise _senseless(condition, "a change is in %")
    if condition.metric == "itl_ms":
        raise UsageError("itl_ms has no value per request to compare", hint="use tpot_ms")
    is_rise = math.copysign(1, condition.value) > 0
    if condition.metric != ERROR_RATE and is_rise != condition.is_above:
        raise UsageError(f"'{condition.text}' would fail without a change", hint=GRAMMAR.example)


def _senseless(condition: Condition, why: str) -> UsageError:
    return UsageError(f"'{condition.text}': {why}", hint=GRAMMAR.example)


def judge_conditions(
    current: SavedRun, baseline: SavedRun | None, conditions: Sequence[Condition]
) -> list[Judged]:
    """Every condition at every load.

    Raises: UsageError for a relative condition without a baseline.
    """
    judged = [
        _absolute(condition, level)
        for condition in conditions
        if not condition.is_relative
        for level in current.report.levels
    ]
    relative = [condition for condition in conditions if condition.is_relative]
    if relative and baseline is None:
        raise UsageError(
            f"'{relative[0].text}' needs something to compare with", hint="--baseline RUN"
        )
    if relative and baseline is not None:
        found = compare(
            baseline, current, metrics=list(dict.fromkeys(c.name for c in relative)), min_effect=0.0
        )
        by_place = {
            (difference.load, difference.metric): difference for difference in found.differences
        }
        old = {level.label: level for level in baseline.report.levels}
        judged += [
            _relative(
                condition,
                level.label,
                by_place.get((level.label, condition.name)),
                (old.get(level.label), level),
            )
            for condition in relative
            for level in current.report.levels
        ]
    if not judged:
        judged = [
            Judged(condition=c.text, load="", outcome=Outcome.UNKNOWN, text="nothing was measured")
            for c in conditions
        ]
    return judged


def _why_not(condition: Condition, sides: tuple[Level | None, Level | None]) -> str:
    if sides[0] is None:
        return "the baseline has no such load"
    least = FEWEST.get(condition.part, 1)
    fewest = min(level.measured for level in sides if level is not None)
    if fewest < least:
        more = f"bench --requests {least * 5 // 4}"
        return f"{condition.part} needs {least} requests on both sides, there are {fewest} ({more})"
    return "a run has no per-request table, or the value is 0"


def _relative(
    condition: Condition,
    load: str,
    difference: Difference | None,
    loads: tuple[Level | None, Level | None],
) -> Judged:
    def judged(outcome: Outcome, text: str) -> Judged:
        return Judged(condition=condition.text, load=load, outcome=outcome, text=text)

    if difference is None:
        return judged(Outcome.UNKNOWN, f"cannot be judged: {_why_not(condition, loads)}")
    if difference.ratio is not None and difference.ratio_ci95 is not None:
        change, (low, high) = difference.ratio - 1, difference.ratio_ci95
        low = low - 1
        high = high - 1
    else:
        change, (low, high) = difference.change or 0.0, difference.change_ci95 or (0.0, 0.0)
    beyond = condition.is_beyond(change)
    text = f"{difference.baseline:.4g} -> {difference.current:.4g}, {change:+.1%} ({low:+.1%} to {high:+.1%})"
    if beyond and difference.p < SURE:
        return judged(Outcome.FAILED, text)
    return judged(Outcome.PASSED, text + (", within chance" if beyond else ""))


def _absolute(condition: Condition, level: Level) -> Judged:
    value, interval = _value(condition, level)
    form = "{:.2%}" if condition.metric == ERROR_RATE else "{:.4g}"
    if value is None:
        return Judged(
            condition=condition.text,
            load=level.label,
            outcome=Outcome.UNKNOWN,
            text="was not measured",
        )
    low, high = interval or (value, value)
    beyond = condition.is_sure(low, high)
    return Judged(
        condition=condition.text,
        load=level.label,
        outcome=Outcome.FAILED if beyond else Outcome.PASSED,
        text=f"{form.format(value)} ({form.format(low)} to {form.format(high)})",
    )


def _value(condition: Condition, level: Level) -> tuple[float | None, tuple[float, float] | None]:
    if condition.metric == ERROR_RATE:
        if not level.requests:
            return None, None
        return level.errors / level.requests, share_interval(level.errors, level.requests)
    found = getattr(level, condition.metric)
    if isinstance(found, Distribution):
        return getattr(found, condition.part), found.ci95.get(condition.part)
    return found, level.rates_ci95.get(condition.metric)


def untrusted(run: SavedRun) -> list[Judged]:
    """A failed condition for a partial run and for each invalid level: a gate must not pass on such
    numbers.
    """
    found = [
        Judged(
            condition="valid",
            load=level.label,
            outcome=Outcome.FAILED,
            text=f"{run.name}: {reason}",
        )
        for level in run.report.levels
        for reason in level.invalid_reasons
    ]
    if not run.report.manifest.complete:
        found.append(
            Judged(
                condition="complete",
                load="the run",
                outcome=Outcome.FAILED,
                text=f"{run.name} is partial",
            )
        )
    return found


def metric_names() -> list[str]:
    """What can be compared between two runs."""
    per_request = [name for name in LATENCIES if name != "itl_ms"]
    return [
        f"{name}.{statistic}" for name in per_request for statistic in (SHIFT, *STATISTICS)
    ] + list(SHARES)
