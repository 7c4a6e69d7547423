"""Limits on measured values, as users write them: one grammar for `--slo`, `--fail-if` and gates.

    METRIC[.PART] OPERATOR [SIGN]NUMBER[UNIT]

`ttft_ms.p95 > +10%`, `ttft_p95=200ms`, `error_rate > 1%`, `asr.extraction > 5%`. A percentile may
stand behind `_` too. Which metrics, operators and units there are is up to the place that asks, in
its `Grammar`; so is what a limit means.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from enum import StrEnum

import msgspec

from llmops_cli.core.errors import UsageError, unknown_name

_CONDITION = re.compile(
    r"""
    \s*(?P<metric>\w+?)
    (?:\.(?P<part>[\w-]+(?:\.\d+)?)|_(?P<percentile>p\d{1,2}(?:\.\d+)?))?
    \s*(?P<operator>>=|<=|>|<|=)
    \s*(?P<sign>[+-]?)(?P<number>\d+(?:\.\d*)?|\.\d+)
    \s*(?P<unit>us|ms|s|%)?\s*
    """,
    re.VERBOSE,
)


class Operator(StrEnum):
    ABOVE = ">"
    AT_LEAST = ">="
    BELOW = "<"
    AT_MOST = "<="
    IS = "="


class Unit(StrEnum):
    MICROSECONDS = "us"
    MILLISECONDS = "ms"
    SECONDS = "s"
    PERCENT = "%"


_MS = {Unit.MICROSECONDS: 1e-3, Unit.MILLISECONDS: 1.0, Unit.SECONDS: 1e3}


class Grammar(msgspec.Struct, frozen=True, kw_only=True):
    """What the conditions of one place may say.

    `noun` is what a metric is called there. A text that is no condition gets the error `refusal`,
    with the text in place of `{text}`, and `example` as its hint. `has_changes`: a number may
    have a sign, which makes it relative to a baseline.
    """

    metrics: Collection[str]
    operators: Collection[Operator]
    units: Collection[Unit]
    example: str
    noun: str = "metric"
    refusal: str = "'{text}' is no condition"
    has_changes: bool = False


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """One term, as it was written.

    part: which of the metric: a statistic (`p95`, `shift`), a family; empty for the whole.
    value: with its sign, in `unit`.
    is_relative: the value is a change against a baseline.
    """

    text: str
    metric: str
    part: str
    operator: Operator
    value: float
    unit: Unit | None
    is_relative: bool

    @property
    def name(self) -> str:
        """Metric and part: `ttft_ms.p95`."""
        if not self.part:
            return self.metric
        return f"{self.metric}.{self.part}"

    @property
    def limit(self) -> float:
        """The value as a share for percent, in ms for times, as it stands without a unit."""
        if self.unit is None:
            return self.value
        if self.unit is Unit.PERCENT:
            return self.value / 100
        return self.value * _MS[self.unit]

    @property
    def percentile(self) -> float | None:
        """95.0 where the part is `p95`."""
        if not re.fullmatch(r"p\d{1,2}(\.\d+)?", self.part):
            return None
        return float(self.part[1:])

    @property
    def is_above(self) -> bool:
        """It speaks of values over the limit."""
        return self.operator in (Operator.ABOVE, Operator.AT_LEAST)

    def is_beyond(self, value: float) -> bool:
        """The value lies on the side that the condition speaks of."""
        if self.is_above:
            return value > self.limit
        return value < self.limit

    def holds(self, value: float) -> bool:
        """As it is written: `>= 5` holds at 5, `> 5` does not."""
        is_even = self.operator in (Operator.AT_LEAST, Operator.AT_MOST)
        return self.is_beyond(value) or (is_even and value == self.limit)

    def is_sure(self, low: float, high: float) -> bool:
        """The whole interval lies on the side that the condition speaks of."""
        return self.is_beyond(low) and self.is_beyond(high)


def parse_condition(text: str, grammar: Grammar) -> Condition:
    """Raises: UsageError for a text that is no condition, or an unknown metric."""
    found = _CONDITION.fullmatch(text)
    if found is None:
        raise _refused(text, grammar)
    operator = Operator(found["operator"])
    unit = None
    if found["unit"]:
        unit = Unit(found["unit"])
    sign = found["sign"]
    is_known_unit = unit is None or unit in grammar.units
    is_known_form = is_known_unit and operator in grammar.operators
    has_odd_sign = sign and not grammar.has_changes
    if not is_known_form or has_odd_sign:
        raise _refused(text, grammar)
    metric = found["metric"]
    if metric not in grammar.metrics:
        raise unknown_name(grammar.noun, metric, grammar.metrics)
    return Condition(
        text=text.strip(),
        metric=metric,
        part=found["part"] or found["percentile"] or "",
        operator=operator,
        value=float(sign + found["number"]),
        unit=unit,
        is_relative=bool(sign),
    )


def parse_conditions(text: str, grammar: Grammar) -> list[Condition]:
    """A list with commas. Raises: as `parse_condition`."""
    parts = text.split(",")
    terms = [part.strip() for part in parts]
    return [parse_condition(term, grammar) for term in terms if term]


def require_telling(
    condition: Condition,
    *,
    low: float = -math.inf,
    high: float = math.inf,
    hint: str | None = None,
) -> None:
    """Raises: UsageError for one that every value from `low` to `high` answers alike."""
    most, least = (high, low) if condition.is_above else (low, high)
    is_open = condition.holds(most) and not condition.holds(least)
    if not is_open:
        word = "always" if condition.holds(most) else "never"
        raise UsageError(
            f"{condition.text} can never tell anything: {condition.name} is {_span(low, high)}, "
            f"so it {word} holds",
            hint=hint,
        )


def _span(low: float, high: float) -> str:
    if high == math.inf:
        return f"{low:g} or more"
    return f"from {low:g} to {high:g}"


def _refused(text: str, grammar: Grammar) -> UsageError:
    message = grammar.refusal.format(text=text)
    return UsageError(message, hint=grammar.example)
