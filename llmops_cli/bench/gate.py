"""Conditions that fail a build.

`ttft_ms.p95 > +10%` is against a baseline, `error_rate > 1%` on its own. A condition fails only
where the value is beyond its limit and chance does not explain it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from llmops_cli.bench.compare import ERROR_RATE, compare, has_repetitions
from llmops_cli.bench.latencies import FEWEST, SHIFT
from llmops_cli.bench.rates import RATES
from llmops_cli.bench.report import Difference, Level, judged_levels
from llmops_cli.bench.saved import SavedRun, load_name
from llmops_cli.bench.window_rates import FEWEST_REQUESTS
from llmops_cli.core.conditions import (
    Condition,
    Grammar,
    Operator,
    Unit,
    parse_condition,
    require_telling,
)
from llmops_cli.core.errors import UsageError, unknown_name
from llmops_cli.core.ranks import size_for_interval
from llmops_cli.core.significance import SURE
from llmops_cli.core.stats import STATISTICS, Distribution, share_interval
from llmops_cli.show.gates import ConditionOutcome, JudgedCondition
from llmops_cli.show.tables import four_digits

LATENCIES = ("ttft_ms", "tpot_ms", "itl_ms", "e2e_ms", "normalized_ms", "queue_delay_ms")
SHARES = (*RATES, ERROR_RATE)
ENOUGH_MORE = 4
"""Times the requests of a run, which mostly bound a percentile that slow spells left unbounded."""
COMPARED_STATISTICS = (SHIFT, *STATISTICS)
TIMES = (Unit.MICROSECONDS, Unit.MILLISECONDS, Unit.SECONDS)
GRAMMAR = Grammar(
    metrics=(*LATENCIES, *SHARES),
    operators=(Operator.ABOVE, Operator.BELOW),
    units=(Unit.PERCENT, *TIMES),
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
    is_share = condition.unit is Unit.PERCENT
    if condition.is_relative:
        _check_change(condition)
    elif is_share != (condition.metric == ERROR_RATE):
        raise _senseless(condition, "a change needs its sign, as +10%, and a limit its own unit")
    else:
        require_telling(condition, low=0, high=1 if is_share else math.inf)
    return condition


def _check_statistic(condition: Condition) -> None:
    if condition.metric in SHARES and condition.part:
        raise _senseless(condition, f"{condition.metric} has no {condition.part}")
    if condition.metric in SHARES and condition.unit in TIMES:
        raise _senseless(condition, f"{condition.metric} is no time")
    if condition.metric in LATENCIES and not condition.part:
        raise UsageError(
            f"'{condition.text}' does not say which {condition.metric}",
            hint=f"for example {condition.metric}.p95; known: {', '.join(COMPARED_STATISTICS)}",
        )
    is_known = condition.part in COMPARED_STATISTICS
    if condition.metric in LATENCIES and not is_known:
        raise unknown_name("statistic", condition.part, COMPARED_STATISTICS)
    if condition.part == SHIFT and not condition.is_relative:
        raise _senseless(condition, "a shift is relative to a baseline")
    if condition.part == "mean" and not condition.is_relative:
        raise _senseless(condition, "a mean has no interval to judge it by; use p50")


def _check_change(condition: Condition) -> None:
    if condition.unit is not Unit.PERCENT:
        raise _senseless(condition, "a change is in %")
    if condition.metric == "itl_ms":
        raise UsageError("itl_ms has no value per request to compare", hint="use tpot_ms")
    if condition.metric != ERROR_RATE:
        require_telling(condition, low=-1, hint="nothing sinks by more than all of it")
    is_rise = math.copysign(1, condition.value) > 0
    fails_at_once = is_rise != condition.is_above
    if condition.metric != ERROR_RATE and fails_at_once:
        raise UsageError(f"'{condition.text}' would fail without a change", hint=GRAMMAR.example)


def _senseless(condition: Condition, why: str) -> UsageError:
    return UsageError(f"'{condition.text}': {why}", hint=GRAMMAR.example)


def judge_conditions(
    current: SavedRun,
    baseline: SavedRun | None,
    conditions: Sequence[Condition],
) -> list[JudgedCondition]:
    """Every condition at every load.

    Raises: UsageError for a relative condition without a baseline.
    """
    relative = [condition for condition in conditions if condition.is_relative]
    if relative and baseline is None:
        raise UsageError(
            f"'{relative[0].text}' needs something to compare with", hint="--baseline RUN"
        )
    judged = [
        _judge_level(condition, level)
        for condition in conditions
        if not condition.is_relative
        for level in judged_levels(current.report)
    ]
    if baseline is not None:
        judged += _judge_changes(current, baseline, relative)
        judged += _missing(current, baseline, conditions)
    return judged or [_unknown(condition, "", "nothing was measured") for condition in conditions]


def _unknown(
    condition: Condition,
    load: str,
    text: str,
) -> JudgedCondition:
    return JudgedCondition(
        condition=condition.text, load=load, outcome=ConditionOutcome.UNKNOWN, text=text
    )


def _missing(
    current: SavedRun,
    baseline: SavedRun,
    conditions: Sequence[Condition],
) -> Iterator[JudgedCondition]:
    """Each condition at the loads that only the baseline has."""
    known = {load_name(level) for level in judged_levels(current.report)}
    for condition in conditions:
        for level in judged_levels(baseline.report):
            name = load_name(level)
            if name not in known:
                yield _unknown(condition, name, f"{current.name} has no such load")


def _judge_changes(
    current: SavedRun,
    baseline: SavedRun,
    conditions: Sequence[Condition],
) -> Iterator[JudgedCondition]:
    names = [condition.name for condition in conditions]
    metrics = list(dict.fromkeys(names))
    if not metrics:
        return
    found = compare(baseline, current, metrics=metrics, min_effect=0.0)
    by_place = {}
    for one in found.differences:
        by_place[one.load, one.metric] = one
    old_levels = {load_name(level): level for level in judged_levels(baseline.report)}
    for condition in conditions:
        for level in judged_levels(current.report):
            load = load_name(level)
            difference = by_place.get((load, condition.name))
            old = old_levels.get(load)
            if difference is None or old is None:
                why = _why_not(condition, old, level)
                yield _unknown(condition, load, f"cannot be judged: {why}")
                continue
            outcome, text = _judge_change(condition, difference, old, level)
            yield JudgedCondition(condition=condition.text, load=load, outcome=outcome, text=text)


def _why_not(
    condition: Condition,
    old: Level | None,
    new: Level,
) -> str:
    if old is None:
        return "the baseline has no such load"
    if not (_is_measured(condition, old) and _is_measured(condition, new)):
        return "it was not measured on both sides"
    least = FEWEST.get(condition.part, 1)
    fewest = min(old.measured, new.measured)
    if fewest < least:
        more = f"bench --requests {least * 5 // 4}"
        return f"{condition.part} needs {least} requests on both sides, there are {fewest} ({more})"
    if condition.metric in RATES:
        return "a run has no interval of this rate, which takes 40 requests at a steady load"
    return "a run has no per-request table, or the value is 0"


def _is_measured(condition: Condition, level: Level) -> bool:
    """A run of vectors has no TTFT, one of text no texts a second, one without SLOs no goodput."""
    if condition.metric == ERROR_RATE:
        return level.requests > 0
    found = getattr(level, condition.metric)
    if isinstance(found, Distribution):
        return found.count > 0
    return found is not None


def _judge_change(
    condition: Condition,
    difference: Difference,
    old: Level,
    new: Level,
) -> tuple[ConditionOutcome, str]:
    if difference.ratio is not None and difference.ratio_ci95 is None:
        why = _why_not(condition, old, new)
        text = f"{difference.ratio - 1:+.1%}, and nobody knows how sure that is: {why}"
        return ConditionOutcome.UNKNOWN, text
    change, low, high = _change_of(difference)
    values = f"{four_digits(difference.baseline)} -> {four_digits(difference.current)}"
    text = f"{values}, {change:+.1%} ({low:+.1%} to {high:+.1%})"
    if not condition.is_beyond(change):
        return ConditionOutcome.PASSED, text
    if difference.p >= SURE:
        return ConditionOutcome.PASSED, f"{text}, within chance"
    if not has_repetitions(difference):
        return (
            ConditionOutcome.UNKNOWN,
            f"{text}, and one run shows no drift (bench --repeats 3 on both sides)",
        )
    return ConditionOutcome.FAILED, text


def _change_of(difference: Difference) -> tuple[float, float, float]:
    """As a share of the baseline, or of the requests for error rates, with its interval."""
    interval = difference.ratio_ci95
    if difference.ratio is not None and interval is not None:
        low, high = interval
        return difference.ratio - 1, low - 1, high - 1
    change = difference.change or 0.0
    low, high = difference.change_ci95 or (0.0, 0.0)
    return change, low, high


def _judge_level(condition: Condition, level: Level) -> JudgedCondition:
    """By the bound of the interval: a value without one is not known well enough."""
    load = load_name(level)
    value, interval = _value(condition, level)
    if value is None or interval is None:
        return _unknown(condition, load, f"cannot be judged: {_why_no_interval(condition, level)}")
    low, high = interval
    outcome = ConditionOutcome.PASSED
    if condition.is_sure(low, high):
        outcome = ConditionOutcome.FAILED
    is_share = condition.metric == ERROR_RATE
    shown = [f"{number:.2%}" if is_share else four_digits(number) for number in (value, low, high)]
    text = "{} ({} to {})".format(*shown)
    if outcome is ConditionOutcome.PASSED and condition.is_beyond(value):
        text += ", within chance"
    return JudgedCondition(condition=condition.text, load=load, outcome=outcome, text=text)


def _why_no_interval(condition: Condition, level: Level) -> str:
    if condition.metric == ERROR_RATE or not _is_measured(condition, level):
        return "it was not measured"
    found = getattr(level, condition.metric)
    if not isinstance(found, Distribution):
        return f"the interval of a rate takes {FEWEST_REQUESTS} requests at a steady load"
    needed = size_for_interval((condition.percentile or 50) / 100)
    if found.count >= needed:
        return (
            f"requests near one another are so alike that {found.count} count for fewer than the "
            f"{needed} that {condition.part} needs (bench --requests {found.count * ENOUGH_MORE})"
        )
    return (
        f"{condition.part} has an interval from some {needed} requests on, there are {found.count} "
        f"(bench --requests {needed * 5 // 4})"
    )


def _value(condition: Condition, level: Level) -> tuple[float | None, tuple[float, float] | None]:
    """The value and its interval."""
    if condition.metric == ERROR_RATE:
        if not level.requests:
            return None, None
        share = level.errors / level.requests
        interval = share_interval(level.errors, level.requests)
        return share, interval
    found = getattr(level, condition.metric)
    if isinstance(found, Distribution):
        statistic = condition.part
        return getattr(found, statistic), found.ci95.get(statistic)
    return found, level.rates_ci95.get(condition.metric)


def metric_names() -> list[str]:
    """What can be compared between two runs."""
    names = []
    for metric in LATENCIES:
        if metric == "itl_ms":  # it has no value per request
            continue
        names += [f"{metric}.{statistic}" for statistic in COMPARED_STATISTICS]
    return [*names, *SHARES]
