"""What measurements say of an engine on a machine, against what arithmetic predicts.

A group is one engine, machine and quantity. Its shift is shrunk towards none, for few rows prove
little; its band comes from what each row is off when the others predict it, and on a machine that
was not measured from what machines differ by as well.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from llmops_cli.sizing.figures import BAND_RATE

PRIOR_ROWS = 0.5
"""A shift is believed as if this many rows without one stood beside those that were measured."""
LEAST_SPREAD = 0.04
"""Two runs of one machine differ by so much."""
LEAST_ROWS = 2
"""One row tells no spread."""
PRIOR_SIZES = (0.25, 0.5, 1.0)
"""A spread is told by the residuals and by three more of such shares of the prior's spread."""
UNSEEN = 1.5
"""How much wider a band is for an engine without any measurement."""


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    """`ratio`: measured over predicted without calibration.

    `weight`: by how much the logarithm of what was measured changes with that of the ratio; less
    than 1 where other things took part of the time.
    """

    engine: str
    machine: str
    quantity: str
    ratio: float
    weight: float = 1.0
    source: str = ""


class Error(NamedTuple):
    """`size`: a logarithm. `weight`: as an observation has it."""

    size: float
    weight: float = 1.0


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
    "decode": Prior(here=0.10, elsewhere=0.17),
    "prefill": Prior(here=0.15, elsewhere=0.25),
    "batch": Prior(here=0.15, elsewhere=0.25),
    "train": Prior(here=0.12, elsewhere=0.20),
    "train-context": Prior(here=0.25, elsewhere=0.40),
    "train-pipeline": Prior(here=0.25, elsewhere=0.40),
    "train-memory": Prior(here=0.09, elsewhere=0.14),
    "train-memory-pipeline": Prior(here=0.25, elsewhere=0.30),
}
"""From the residuals of published measurements, left out source by source (docs/PLAN.md)."""


def fit(observations: Iterable[Observation]) -> tuple[Group, ...]:
    """A group for each engine, machine and quantity that was measured."""
    found: dict[tuple[str, str, str], list[Error]] = {}
    for each in observations:
        key = (each.engine, each.machine, each.quantity)
        found.setdefault(key, []).append(Error(math.log(each.ratio), each.weight))
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


def shrunk(errors: Sequence[Error]) -> float:
    """The middle error, pulled towards none."""
    total = sum(error.weight for error in errors)
    return _middle(errors) * total / (total + PRIOR_ROWS)


def _middle(errors: Sequence[Error]) -> float:
    """The weighted median: between both errors at half of the weight, where it falls on two."""
    ordered = sorted(errors)
    half = sum(error.weight for error in errors) / 2
    passed = 0.0
    at_half: list[float] = []
    for error in ordered:
        passed += error.weight
        if passed >= half:
            at_half.append(error.size)
        if passed > half:
            break
    return (at_half[0] + at_half[-1]) / 2


def spread_of(errors: Sequence[Error], prior: float) -> float:
    """Half a band, from what each row is off when the others predict it, and from the prior."""
    if len(errors) < LEAST_ROWS:
        return prior
    residuals = []
    for index, error in enumerate(errors):
        others = [*errors[:index], *errors[index + 1 :]]
        residuals.append(error.weight * (error.size - shrunk(others)))
    return max(LEAST_SPREAD, half_band(residuals, prior))


def half_band(residuals: Sequence[float], prior: float) -> float:
    """What BAND_RATE of further rows stay within: a rank among these and what the prior expects.

    Source: split conformal prediction (arXiv:2107.07511, section 1).
    """
    sizes = [abs(each) for each in residuals] + [prior * part for part in PRIOR_SIZES]
    rank = math.ceil((len(sizes) + 1) * BAND_RATE)
    return sorted(sizes)[min(rank, len(sizes)) - 1]


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
    shifts = [Error(each.shift) for each in same]
    machines = ", ".join(each.machine for each in same)
    return Correction(
        factor=math.exp(shrunk(shifts)),
        spread=_elsewhere(same, prior),
        source=f"extrapolated from {engine} on {machines}",
    )


def _elsewhere(same: Sequence[Group], prior: Prior) -> float:
    """What machines differ by, and what rows of one machine do."""
    between = math.sqrt(max(0.0, prior.elsewhere**2 - prior.here**2))
    if len(same) >= LEAST_ROWS:
        between = spread_of([Error(each.shift) for each in same], between)
    within = sum(each.spread for each in same) / len(same)
    return math.hypot(between, within)
