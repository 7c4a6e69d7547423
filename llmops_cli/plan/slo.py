"""Limits on mean latencies: `ttft=500ms,tpot=50ms`."""

from __future__ import annotations

import math

import msgspec

from llmops_cli.core.conditions import Grammar, Operator, Unit, parse_conditions
from llmops_cli.core.errors import UsageError

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


def read_limits(text: str | None) -> Limits:
    """Raises: UsageError for a text that is no objective, or lacks a unit."""
    if text is None:
        return Limits()
    found = {}
    for each in parse_conditions(text, GRAMMAR):
        if each.unit is None:
            raise UsageError(f"'{each.text}' has no unit", hint=GRAMMAR.example)
        found[each.metric] = each.limit / 1000
    return Limits(ttft_s=found.get(TTFT, math.inf), tpot_s=found.get(TPOT, math.inf))
