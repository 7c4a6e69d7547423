"""The batches of a run: a function of data, seed and step alone.

Neither the number of ranks nor the strategy changes a row; a rank asks for those that it needs.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Protocol

from _shared.protocol import JobError, Json
from train.data.ahead import Ahead
from train.data.batch import Batch
from train.data.collate import collate
from train.data.counts import Counts, counts_in
from train.data.order import Order, Place
from train.data.packing import Cursor, Packer
from train.data.sample import TokenRow, TrainingSample, row_of

CURSORS = 64
"""Steps back that a packed run returns to at once."""


class Source(Protocol):
    """Samples in their order. The training split never ends; that of validation is read once."""

    size: int
    """Samples."""

    def rows(self, step: int, numbers: Sequence[int]) -> Batch:
        """Rows `numbers`, of 0 to batch size - 1, of the global batch of `step` (from 0)."""

    def is_over(self, step: int) -> bool:
        """Whether there is nothing in `step` and behind."""

    def used(self) -> Counts:
        """What the rows that were asked for here held."""

    def state(self) -> Json:
        """Where it is, the same on every rank and for every layout."""

    def restore(self, state: Json) -> None: ...


class SamplesByPlace(Protocol):
    """Tokenized samples by place."""

    identity: str
    """Of all that decides what they are."""
    sizes: tuple[int, ...]
    """Of the data sets."""

    def fetch(self, places: Sequence[Place]) -> list[TrainingSample]: ...


class InMemory:
    """Samples in memory."""

    identity = "memory"

    def __init__(self, samples: Sequence[TrainingSample]) -> None:
        self.sizes: tuple[int, ...] = (len(samples),)
        self._samples = samples

    def fetch(self, places: Sequence[Place]) -> list[TrainingSample]:
        return [self._samples[place.number] for place in places]


class Stream:
    """The samples of all files in the order of the run. `once`: one epoch."""

    def __init__(
        self,
        samples: SamplesByPlace,
        order: Order,
        *,
        once: bool = False,
    ) -> None:
        self._samples = samples
        self._order = order
        self.identity = samples.identity
        self.size = order.size
        self.end = order.size if once else None

    def fetch(self, positions: Sequence[int]) -> list[TrainingSample]:
        places = [self._order.place(position) for position in positions]
        return self._samples.fetch(places)


Wanted = tuple[int, tuple[int, ...]]
"""A step, and rows of it."""


class PlainSource:
    """A sample is a row: row `number` of step `step` is sample step * batch_size + number."""

    def __init__(self, stream: Stream, batch_size: int) -> None:
        self.size = stream.size
        self._stream = stream
        self._batch_size = batch_size
        self._ahead: Ahead[Wanted, list[TokenRow]] = Ahead(self._make)
        self._used = Counts()

    def rows(self, step: int, numbers: Sequence[int]) -> Batch:
        wanted = tuple(numbers)
        rows = self._ahead.get((step, wanted))
        if not self.is_over(step + 1):
            self._ahead.begin((step + 1, wanted))
        self._used += counts_in(rows)
        return collate(rows)

    def is_over(self, step: int) -> bool:
        end = self._stream.end
        return end is not None and step * self._batch_size >= end

    def used(self) -> Counts:
        return self._used

    def state(self) -> Json:
        return {"data": self._stream.identity}

    def restore(self, state: Json) -> None:
        check_identity(state, self._stream)

    def _make(self, wanted: Wanted) -> list[TokenRow]:
        step, numbers = wanted
        first = step * self._batch_size
        positions = [first + number for number in numbers]
        end = self._stream.end
        inside = [position for position in positions if end is None or position < end]
        samples = self._stream.fetch(inside)
        rows = [row_of(sample) for sample in samples]
        missing = len(positions) - len(inside)
        return rows + [TokenRow(())] * missing


class PackedSource:
    """Rows of `length` tokens with as many samples as fit; every rank packs the whole step."""

    def __init__(
        self,
        stream: Stream,
        batch_size: int,
        length: int,
    ) -> None:
        self.size = stream.size
        self._stream = stream
        self._batch_size = batch_size
        self._length = length
        self._packer = Packer(stream.fetch, length=length, size=stream.size, end=stream.end)
        self._ahead: Ahead[Cursor, tuple[list[TokenRow], Cursor]] = Ahead(self._make)
        self._cursors: OrderedDict[int, Cursor] = OrderedDict({0: Cursor()})
        self._next = 0
        self._step: tuple[int, list[TokenRow]] = (-1, [])
        self._used = Counts()

    def rows(self, step: int, numbers: Sequence[int]) -> Batch:
        all_rows = self._rows_of(step)
        rows = [all_rows[number] for number in numbers]
        self._used += counts_in(rows)
        return collate(rows, length=self._length)

    def is_over(self, step: int) -> bool:
        return self._packer.is_over(self._cursor(step))

    def used(self) -> Counts:
        return self._used

    def state(self) -> Json:
        position, offset = self._cursor(self._next)
        return {
            "data": self._stream.identity,
            "step": self._next,
            "position": position,
            "offset": offset,
        }

    def restore(self, state: Json) -> None:
        check_identity(state, self._stream)
        step = int(state["step"])
        cursor = Cursor(int(state["position"]), int(state["offset"]))
        self._cursors = OrderedDict({0: Cursor(), step: cursor})
        self._next = step
        self._step = (-1, [])

    def _rows_of(self, step: int) -> list[TokenRow]:
        kept_step, kept = self._step
        if kept_step == step:
            return kept
        rows, after = self._ahead.get(self._cursor(step))
        self._remember(step + 1, after)
        self._next = step + 1
        self._step = (step, rows)
        self._ahead.begin(after)
        return rows

    def _cursor(self, step: int) -> Cursor:
        """Where a step begins; the way there is walked if nobody has been there."""
        known = max(number for number in self._cursors if number <= step)
        cursor = self._cursors[known]
        for number in range(known, step):
            _, cursor = self._ahead.get(cursor)
            self._remember(number + 1, cursor)
        return cursor

    def _remember(self, step: int, cursor: Cursor) -> None:
        self._cursors[step] = cursor
        while len(self._cursors) > CURSORS:
            oldest = sorted(self._cursors)[1]
            del self._cursors[oldest]

    def _make(self, cursor: Cursor) -> tuple[list[TokenRow], Cursor]:
        return self._packer.rows(cursor, self._batch_size)


def check_identity(state: Json, stream: Stream) -> None:
    """Raises: JobError if the run was of other data, for which a position means nothing."""
    if state["data"] != stream.identity:
        raise JobError(
            "UsageError",
            "the data, or how they are read, are not those that this run has been trained on",
            "bring them back, or begin anew with --resume never",
        )


def memory_source(
    samples: Sequence[TrainingSample],
    *,
    batch_size: int,
    seed: int,
) -> PlainSource:
    """Over samples that are tokenized already."""
    order = Order([len(samples)], None, seed)
    return PlainSource(Stream(InMemory(samples), order), batch_size)
