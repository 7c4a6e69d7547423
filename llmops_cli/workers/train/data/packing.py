"""Rows filled with samples one after another: one cursor over the stream is all the state.

Whole samples go into the next row if they do not fit any more. Plain texts are cut where a row ends
and go on in the next one.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from _shared.protocol import JobError
from train.data.sample import SamplePiece, TokenRow, TrainingSample

AHEAD = 64
"""Samples that are read and tokenized together."""

Fetch = Callable[[Sequence[int]], list[TrainingSample]]
"""The samples at these positions of the stream."""


class Cursor(NamedTuple):
    """The next sample of the stream, and how many of its pairs are used already."""

    position: int = 0
    offset: int = 0


class Packer:
    """Fills rows of `length`.

    After `size` fruitless samples in a row it gives up. `end`: where the stream ends, if it does.
    """

    def __init__(
        self,
        fetch: Fetch,
        *,
        length: int,
        size: int,
        end: int | None = None,
    ) -> None:
        self._fetch = fetch
        self._length = length
        self._size = size
        self._end = end
        self._read: dict[int, TrainingSample] = {}

    def rows(self, cursor: Cursor, count: int) -> tuple[list[TokenRow], Cursor]:
        """The next `count` rows, empty behind the end, and where the ones after them begin."""
        rows = []
        for _ in range(count):
            row, cursor = self._row(cursor)
            rows.append(row)
        return rows, cursor

    def is_over(self, cursor: Cursor) -> bool:
        return self._end is not None and cursor.position >= self._end

    def _row(self, cursor: Cursor) -> tuple[TokenRow, Cursor]:
        pieces: list[SamplePiece] = []
        left_out: list[TrainingSample] = []
        room = self._length
        while room and not self.is_over(cursor):
            sample = self._sample(cursor.position)
            if not sample.counts:
                left_out.append(sample)
                self._check(len(left_out))
                cursor = Cursor(cursor.position + 1)
                continue
            taken = self._taken(sample, cursor.offset, room)
            if not taken:
                break
            stop = cursor.offset + taken
            pieces.append(SamplePiece(sample, cursor.offset, stop))
            room -= taken
            cursor = Cursor(cursor.position, stop)
            if stop == sample.pairs:
                cursor = Cursor(cursor.position + 1)
        return TokenRow(tuple(pieces), tuple(left_out)), cursor

    def _taken(self, sample: TrainingSample, offset: int, room: int) -> int:
        left = sample.pairs - offset
        if sample.is_divisible:
            return min(left, room)
        return left if left <= room else 0

    def _sample(self, position: int) -> TrainingSample:
        if position not in self._read:
            stop = position + AHEAD
            if self._end is not None:
                stop = min(stop, self._end)
            wanted = range(position, stop)
            self._read = dict(zip(wanted, self._fetch(wanted), strict=True))
        return self._read[position]

    def _check(self, fruitless: int) -> None:
        if fruitless > self._size:
            raise JobError("UsageError", "no sample has a token to learn from", "--train-on all")
