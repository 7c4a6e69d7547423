"""What measurements say of an engine on a machine, against what arithmetic predicts.

A group is one engine, machine and quantity. Its shift is shrunk towards none, for few rows prove
little; its band comes from what each row is off when the others predict it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import msgspec

PRIOR_ROWS = 0.5
"""A shift is believed as if this many rows without one stood beside those that were measured."""
BAND_QUANTILE = 1.2816
"""Half of an 80 % band of a normal error, in standard deviations."""
LEAST_SPREAD = 0.04
"""Two runs of one machine differ by so much."""
ENOUGH_ROWS = 4
UNSEEN = 1.5
"""How much wider a band is for an engine without any measurement."""


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    """`ratio`: measured over predicted without calibration."""

    engine: str
    machine: str
    quantity: str
    ratio: float
    source: str = ""


class Group(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`shift` and `spread` are logarithms."""

    engine: str
    machine: str
    quantity: str
    shift: float
    spread: float
    count: int


class Correction(msgspec.Struct, frozen=True, kw_only=True):
    """`factor` to a prediction; `spread`: the logarithm of its band's half."""

    factor: float
    spread: float
    source: str


class Prior(msgspec.Struct, frozen=True, kw_only=True):
    """Spreads as logarithms: on a machine that was measured, and on another one."""

    here: float
    elsewhere: float


PRIORS = {
    "decode": Prior(here=0.14, elsewhere=0.22),
    "prefill": Prior(here=0.20, elsewhere=0.33),
    "batch": Prior(here=0.22, elsewhere=0.33),
    "train": Prior(here=0.20, elsewhere=0.33),
}
"""From the residuals of published measurements, left out source by source (docs/PLAN.md)."""


def fit(observations: Iterable[Observation]) -> tuple[Group, ...]:
    """A group for each engine, machine and quantity that was measured."""
    found: dict[tuple[str, str, str], list[float]] = {}
    for each in observations:
        key = (each.engine, each.machine, each.quantity)
        found.setdefault(key, []).append(math.log(each.ratio))
    groups = []
    for (engine, machine, quantity), errors in sorted(found.items()):
        group = Group(
            engine=engine,
            machine=machine,
            quantity=quantity,
            shift=shrunk(errors),
            spread=spread_of(errors, PRIORS[quantity].here),
            count=len(errors),
        )
        groups.append(group)
    return tuple(groups)


def shrunk(errors: Sequence[float]) -> float:
    """The middle error, pulled towards none."""
    ordered = sorted(errors)
    count = len(ordered)
    middle = (ordered[(count - 1) // 2] + ordered[count // 2]) / 2
    return middle * count / (count + PRIOR_ROWS)


def spread_of(errors: Sequence[float], prior: float) -> float:
    """The error at 80 % of rows, each predicted by the others; the prior's where those are few."""
    if len(errors) < ENOUGH_ROWS:
        return prior
    residuals = []
    for index, error in enumerate(errors):
        others = [*errors[:index], *errors[index + 1 :]]
        residuals.append(abs(error - shrunk(others)))
    rank = math.ceil((len(residuals) + 1) * 0.8)
    at = min(rank, len(residuals)) - 1
    return max(LEAST_SPREAD, sorted(residuals)[at])


def correction(
    groups: Sequence[Group],
    *,
    engine: str,
    machine: str,
    quantity: str,
) -> Correction:
    """Of this engine and machine, else of the engine's other machines, else none."""
    same = [each for each in groups if (each.engine, each.quantity) == (engine, quantity)]
    for each in same:
        if each.machine == machine:
            return Correction(
                factor=math.exp(each.shift),
                spread=each.spread,
                source=f"fitted on {each.count} measurements of {engine} on {machine}",
            )
    prior = PRIORS[quantity]
    if not same:
        return Correction(
            factor=1.0,
            spread=prior.elsewhere * UNSEEN,
            source=f"extrapolated: no measurement of {engine} on {machine}",
        )
    shift = shrunk([each.shift for each in same])
    machines = ", ".join(each.machine for each in same)
    return Correction(
        factor=math.exp(shift),
        spread=prior.elsewhere,
        source=f"extrapolated from {engine} on {machines}",
    )
