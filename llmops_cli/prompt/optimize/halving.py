"""Successive halving: many proposals on a few cases, the better half on twice as many.

Here is what a round costs, so how many proposals a budget buys. Source: Jamieson and Talwalkar
2016, arXiv:1502.07943.
"""

from __future__ import annotations

import msgspec

WIDTHS = (8, 4, 2, 1)
"""Proposals of a round; a smaller one where no more fit into what is left."""
SHOWN = 6
FIRST_PART = 4
"""The first rung has a fourth of the cases, the next a half."""


class Forecast(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a budget buys, if no request has to be sent twice."""

    base: int
    test: int
    search: int
    rounds: int
    proposals: int


def rungs(cases: int) -> list[int]:
    """Numbers of cases after which the worse half is left; the last has all."""
    quarter = -(-cases // FIRST_PART)
    half = -(-cases // 2)
    return sorted({quarter, half, cases})


def round_cost(width: int, *, train: int, validation: int) -> int:
    """Calls of a round at most: its rungs, and its best on the validation split."""
    calls = validation
    alive = width
    before = 0
    for size in rungs(train):
        calls += alive * (size - before)
        before = size
        alive = -(-alive // 2)
    return calls


def width_for(calls: int, *, train: int, validation: int) -> int:
    """Proposals of the widest round that so many calls pay for; 0 for none."""
    for width in WIDTHS:
        if round_cost(width, train=train, validation=validation) <= calls:
            return width
    return 0


def minibatch_of(train: int) -> int:
    """Training cases that a proposer is shown at once, and its proposal is first tried on."""
    return min(SHOWN, train)


def proposal_cost(*, train: int, validation: int) -> int:
    """Calls of a written proposal at most: it, its parent and the proposal on what was shown."""
    return 1 + 2 * minibatch_of(train) + validation


def written_forecast(calls: int, *, train: int, validation: int, test: int) -> Forecast:
    """As `forecast`, where a model writes what is tried; the best is measured on all of train."""
    base = train + validation
    search = max(0, calls - base - 2 * test)
    cost = proposal_cost(train=train, validation=validation)
    proposals = max(0, search - train) // cost
    return Forecast(base=base, test=2 * test, search=search, rounds=proposals, proposals=proposals)


def least_written_calls(*, train: int, validation: int, test: int) -> int:
    """What one written proposal takes, with all around it."""
    cost = proposal_cost(train=train, validation=validation)
    return 2 * train + validation + 2 * test + cost


def forecast(calls: int, *, train: int, validation: int, test: int) -> Forecast:
    """The base and the best are both tested, so the test is paid for twice before all else."""
    base = train + validation
    search = max(0, calls - base - 2 * test)
    left = search
    rounds = 0
    proposals = 0
    while width := width_for(left, train=train, validation=validation):
        left -= round_cost(width, train=train, validation=validation)
        rounds += 1
        proposals += width
    return Forecast(base=base, test=2 * test, search=search, rounds=rounds, proposals=proposals)


def least_calls(*, train: int, validation: int, test: int) -> int:
    """What one proposal takes, with all around it."""
    one = round_cost(1, train=train, validation=validation)
    return train + validation + 2 * test + one
