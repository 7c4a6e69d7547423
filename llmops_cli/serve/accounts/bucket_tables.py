"""Two tables in shared memory: what is left of each rate, and the streams that each process holds.

Whoever calls holds the file's lock.
"""

from __future__ import annotations

import mmap
import struct

import msgspec

from llmops_cli.serve.accounts.charge import MINUTE_S
from llmops_cli.serve.accounts.process_slots import SLOTS, ProcessSlots

NAME_BYTES = 16
NO_NAME = bytes(NAME_BYTES)
PROBES = 16
LEFT_MOST = 1e12
OFFSETS_MOST = 20_000

_TIME = struct.Struct("<d")
_COUNT = struct.Struct("<i")


class BucketRow(msgspec.Struct, frozen=True):
    """`left` of the bucket of this name, whose row is at `offset`."""

    name: bytes
    left: float
    offset: int


class RowTable:
    """Rows of one layout, each found by its name: 16 bytes that are a digest."""

    def __init__(
        self,
        memory: mmap.mmap,
        *,
        start: int,
        rows: int,
        row_bytes: int,
        used_at: int,
    ) -> None:
        """`used_at`: where in a row the time of its last use stands."""
        self._memory = memory
        self._start = start
        self._rows = rows
        self._row_bytes = row_bytes
        self._used_at = used_at

    def find(self, name: bytes) -> int:
        """The row of this name, else a free one, else the one that was used longest ago."""
        first = int.from_bytes(name[:4], "little")
        oldest = 0
        oldest_s = float("inf")
        for probe in range(PROBES):
            offset = self._start + (first + probe) % self._rows * self._row_bytes
            found = self._memory[offset : offset + NAME_BYTES]
            if found in (name, NO_NAME):
                return offset
            used_s = _TIME.unpack_from(self._memory, offset + self._used_at)[0]
            if used_s < oldest_s:
                oldest = offset
                oldest_s = used_s
        return oldest

    def named(self) -> list[int]:
        """Offsets of the rows in use."""
        end = self._start + self._rows * self._row_bytes
        offsets = range(self._start, end, self._row_bytes)
        memory = self._memory
        return [each for each in offsets if memory[each : each + NAME_BYTES] != NO_NAME]


class RateTable:
    """Token buckets: full at first, refilled all the time, `most` a minute."""

    ROW = struct.Struct("<16sdd")
    """Name, left, when."""
    ROWS = 1 << 15
    SIZE = ROWS * ROW.size

    def __init__(self, memory: mmap.mmap, start: int) -> None:
        self._memory = memory
        self._start = start
        self._table = RowTable(
            memory,
            start=start,
            rows=self.ROWS,
            row_bytes=self.ROW.size,
            used_at=24,
        )
        self._offsets: dict[bytes, int] = {}

    def row(
        self,
        name: bytes,
        most: int,
        now: float,
    ) -> BucketRow:
        offset = self._offsets.get(name, self._start)
        found, left, at = self.ROW.unpack_from(self._memory, offset)
        if found != name:
            offset = self._find(name)
            found, left, at = self.ROW.unpack_from(self._memory, offset)
        is_sane = -LEFT_MOST < left < LEFT_MOST and at <= now + MINUTE_S
        if found != name or not is_sane:
            # A clock that was set back, or a damaged row, must not keep somebody out for good.
            return BucketRow(name, float(most), offset)
        if now > at:
            left += (now - at) * most / MINUTE_S
        return BucketRow(name, left if left < most else float(most), offset)

    def write(
        self,
        row: BucketRow,
        left: float,
        now: float,
    ) -> None:
        self.ROW.pack_into(self._memory, row.offset, row.name, left, now)

    def _find(self, name: bytes) -> int:
        """Remembered: a row stays where it is until another name drives it out."""
        if len(self._offsets) > OFFSETS_MOST:
            self._offsets.clear()
        offset = self._table.find(name)
        self._offsets[name] = offset
        return offset


class StreamTable:
    """Streams at once. Each process has a column, which others clear when it has died."""

    ROW = struct.Struct(f"<16sd8x{SLOTS}i")
    """Name, when, what each process holds."""
    ROWS = 1 << 13
    SIZE = ROWS * ROW.size
    HELD_AT = ROW.size - SLOTS * _COUNT.size

    def __init__(
        self,
        memory: mmap.mmap,
        start: int,
        slots: ProcessSlots,
    ) -> None:
        self._memory = memory
        self._slots = slots
        self._table = RowTable(
            memory,
            start=start,
            rows=self.ROWS,
            row_bytes=self.ROW.size,
            used_at=NAME_BYTES,
        )

    def row(
        self,
        name: bytes,
        most: int,
        now: float,
    ) -> BucketRow:
        offset = self._table.find(name)
        found, _, *held = self.ROW.unpack_from(self._memory, offset)
        if found != name:
            self.ROW.pack_into(self._memory, offset, name, now, *[0] * SLOTS)
            return BucketRow(name, float(most), offset)
        streams = sum(held)
        if streams >= most:
            streams -= self._clear_dead(offset, held)
        return BucketRow(name, float(most - streams), offset)

    def hold(
        self,
        offset: int,
        streams: int,
        now: float,
    ) -> None:
        """So many more of this process; fewer if negative."""
        mine = self._column(offset, self._slots.mine)
        held = _COUNT.unpack_from(self._memory, mine)[0] + streams
        _COUNT.pack_into(self._memory, mine, max(0, held))
        _TIME.pack_into(self._memory, offset + NAME_BYTES, now)

    def clear_mine(self) -> None:
        """What a process that died held in the slot that is ours now."""
        for offset in self._table.named():
            mine = self._column(offset, self._slots.mine)
            _COUNT.pack_into(self._memory, mine, 0)

    def _clear_dead(self, offset: int, held: list[int]) -> int:
        """How many streams the dead held."""
        cleared = 0
        for slot, streams in enumerate(held):
            if streams and not self._slots.is_alive(slot):
                _COUNT.pack_into(self._memory, self._column(offset, slot), 0)
                cleared += streams
        return cleared

    def _column(self, offset: int, slot: int) -> int:
        return offset + self.HELD_AT + slot * _COUNT.size
