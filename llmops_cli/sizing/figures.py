"""A number of a plan with its band, how it was computed, and from what."""

from __future__ import annotations

import math

import msgspec

BAND_RATE = 0.8
"""How often a band is meant to hold the truth: its share of measurements."""
EXACT_SHARE = 0.005
"""Either way, of what is counted: alignment, metadata, and the digits that sources print."""


Value = bool | float | None


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """`low` to `high` holds the truth at BAND_RATE.

    `value` is None where something is missing; `formula` then says what. `fits` has truth values.
    """

    value: Value
    low: Value
    high: Value
    formula: str
    source: str

    @property
    def number(self) -> float:
        """Raises: ValueError where there is none."""
        if self.value is None:
            raise ValueError(self.formula)
        return float(self.value)


def counted(value: float, formula: str, source: str, *, spread: float = 0.0) -> Figure:
    """What arithmetic tells. `spread`: by what share what it starts from may be off."""
    share = max(EXACT_SHARE, spread)
    return Figure(
        value=value,
        low=value * (1 - share),
        high=value * (1 + share),
        formula=formula,
        source=source,
    )


def estimated(
    value: float,
    spread: float,
    *,
    formula: str,
    source: str,
    ceiling: float = math.inf,
) -> Figure:
    """`spread`: half of the band's width as a logarithm; the band ends at `ceiling`."""
    value = min(value, ceiling)
    return Figure(
        value=value,
        low=value * math.exp(-spread),
        high=min(value * math.exp(spread), ceiling),
        formula=formula,
        source=source,
    )


def missing(what: str) -> Figure:
    """A figure that cannot be told, with what it lacks."""
    return Figure(value=None, low=None, high=None, formula=what, source="")


def decided(*, is_so: bool, at_worst: bool, at_best: bool, formula: str) -> Figure:
    """A yes or no, and what it would be at either end of the band."""
    return Figure(value=is_so, low=at_worst, high=at_best, formula=formula, source="llmops")
