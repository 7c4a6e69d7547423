"""What two runs measured of one metric at one load: their requests, in order of time.

Where both sent the same requests, they go in pairs. Shapes: n requests.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from llmops_cli.bench.report import Level
from llmops_cli.bench.requests import Requests
from llmops_cli.core.sample import time_blocks

if TYPE_CHECKING:
    from numpy import ndarray

SHARE_TO_PAIR = 0.7
"""Of the requests, that both sides must have measured to go in pairs."""


class Side(NamedTuple):
    """A load's requests, in order of repetition and time. Each is (n,)."""

    repetitions: ndarray
    indexes: ndarray
    turns: ndarray
    values: ndarray

    def at(self, places: ndarray) -> Side:
        drawn = [column[places] for column in self]
        return Side(*drawn)

    @property
    def blocks(self) -> ndarray:
        """The block of time of each: neighbours are drawn together."""
        return time_blocks(len(self.values))


class Sides(NamedTuple):
    """Both runs. In pairs, the same place is the same request."""

    baseline: Side
    current: Side
    is_paired: bool

    @property
    def sizes(self) -> tuple[int, int]:
        before = len(self.baseline.values)
        now = len(self.current.values)
        return before, now


def side_of(
    requests: Requests,
    place: int,
    level: Level,
    metric: str,
) -> Side:
    import numpy as np

    values = requests[metric]
    is_known = ~np.isnan(values)
    mask = requests.measured(place, level) & is_known
    repetitions = requests["repetition"][mask]
    begun = requests["intended_ns"][mask]
    order = np.lexsort((begun, repetitions))
    indexes = requests["index"][mask]
    turns = requests["turn"][mask]
    measured = values[mask]
    return Side(
        repetitions=repetitions[order],
        indexes=indexes[order],
        turns=turns[order],
        values=measured[order],
    )


def pair(
    a: Side,
    b: Side,
    *,
    may_pair: bool,
) -> Sides:
    """In pairs if both sides measured most of the same requests."""
    import numpy as np

    if not may_pair:
        return Sides(a, b, is_paired=False)
    places_a = {key: place for place, key in enumerate(_keys(a))}
    pairs = []
    for place_b, key in enumerate(_keys(b)):
        place_a = places_a.get(key)
        if place_a is not None:
            pairs.append((place_a, place_b))
    sizes = (len(a.values), len(b.values))
    largest = max(*sizes, 1)
    if len(pairs) < SHARE_TO_PAIR * largest:
        return Sides(a, b, is_paired=False)
    pairs.sort()
    columns = np.array(pairs, dtype=np.int64)
    found_a, found_b = columns.reshape(-1, 2).T
    pairs_a = a.at(found_a)
    pairs_b = b.at(found_b)
    return Sides(pairs_a, pairs_b, is_paired=True)


def _keys(side: Side) -> Iterator[tuple[int, int, int]]:
    """What a request is known by in both runs."""
    repetitions = side.repetitions.tolist()
    indexes = side.indexes.tolist()
    turns = side.turns.tolist()
    return zip(repetitions, indexes, turns, strict=True)
