"""Counts that all processes of one machine share: a file of buckets, mapped into memory, changed
under a file lock.

A process that is killed leaves nothing behind: the system drops its locks, and what it held
(streams) stands in a column of its own that the others clear.
"""

from __future__ import annotations

import fcntl
import hashlib
import mmap
import os
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal, NamedTuple

from llmops_cli.core.errors import EnvironmentMissing

MINUTE_S = 60.0
Kind = Literal["requests", "tokens", "streams"]

_MAGIC = b"llmops-limits-2\n"
_PROCESSES = 64
_ROWS = 1 << 15
_PROBES = 16
_ROW = struct.Struct("<16sdd")  # name, left, at: a bucket of tokens or requests
_HELD = struct.Struct(f"<16sd8x{_PROCESSES}i")  # name, at, what each process holds
_BUCKETS_AT = 4096
_HELD_AT = _BUCKETS_AT + _ROWS * _ROW.size
_HELD_ROWS = 1 << 13
_SIZE = _HELD_AT + _HELD_ROWS * _HELD.size


class Charge(NamedTuple):
    """`amount` of what `subject` may have `most` of: a minute, or at once for streams."""

    subject: str
    kind: Kind
    most: int
    amount: float


class Standing(NamedTuple):
    """What is left of one charge's bucket, and seconds until there would be enough."""

    left: float
    wait_s: float


class Taken(NamedTuple):
    """`refused` is the first charge that there was not enough for; then none was taken. `lease`
    names what is held.
    """

    refused: Charge | None
    standings: list[Standing]
    lease: str = ""


class Ledger:
    """Token buckets: full at first, refilled all the time, `most` a minute."""

    def __init__(self, folder: Path, *, clock: Callable[[], float] = time.time) -> None:
        path = folder / "limits"
        self._clock = clock
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            with self._locked():
                if (
                    os.fstat(self._file).st_size != _SIZE
                    or os.pread(self._file, len(_MAGIC), 0) != _MAGIC
                ):
                    os.ftruncate(self._file, 0)
                    os.ftruncate(
                        self._file, _SIZE
                    )  # a sparse file: only rows in use take memory and disk
                    os.pwrite(self._file, _MAGIC, 0)
                self._map = mmap.mmap(self._file, _SIZE)
        except OSError as error:
            raise EnvironmentMissing(f"cannot keep limits in {path}: {error.strerror}") from error
        self._me = self._place()
        self._names: dict[tuple[str, str], bytes] = {}
        self._places: dict[bytes, int] = {}

    # -- taking
    # ----------------------------------------------------------------------------------------

    def take(self, charges: Sequence[Charge]) -> Taken:
        """All charges or none."""
        now = self._clock()
        refused = None
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            found = [self._left(charge, now) for charge in charges]
            for charge, (left, _) in zip(charges, found, strict=True):
                if (
                    min(charge.amount, charge.most) - left > 1e-9
                ):  # who asks for more than there ever is waits for all
                    refused = charge
                    break
            else:
                for charge, (left, place) in zip(charges, found, strict=True):
                    self._put(charge, place, left - charge.amount, now)
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)
        if refused is None:
            return Taken(
                None,
                [
                    Standing(left - c.amount, 0.0)
                    for c, (left, _) in zip(charges, found, strict=True)
                ],
            )
        return Taken(
            refused,
            [Standing(left, _wait_s(c, left)) for c, (left, _) in zip(charges, found, strict=True)],
        )

    def give_back(self, charges: Sequence[Charge]) -> None:
        """Amounts that were not used after all (negative: more was), and streams that have
        ended.
        """
        now = self._clock()
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            for charge in charges:
                left, place = self._left(charge, now)
                self._put(charge, place, min(charge.most, left + charge.amount), now)
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    # -- rows
    # ------------------------------------------------------------------------------------------

    def _left(self, charge: Charge, now: float) -> tuple[float, int]:
        name = self._name(charge)
        if charge.kind == "streams":
            place = self._find(name, _HELD_AT, _HELD, _HELD_ROWS)
            row = _HELD.unpack_from(self._map, place)
            if row[0] != name:
                _HELD.pack_into(self._map, place, name, now, *[0] * _PROCESSES)
                return float(charge.most), place
            held = sum(row[2:])
            if held >= charge.most and (
                dead := [i for i, n in enumerate(row[2:]) if n and not self._alive(i)]
            ):
                for i in dead:
                    struct.pack_into("<i", self._map, place + 32 + 4 * i, 0)
                held = sum(n for i, n in enumerate(row[2:]) if i not in dead)
            return float(charge.most - held), place
        place = self._places.get(name, _BUCKETS_AT)
        found, left, at = _ROW.unpack_from(self._map, place)
        if found != name:
            place = self._places[name] = self._find(name, _BUCKETS_AT, _ROW, _ROWS)
            found, left, at = _ROW.unpack_from(self._map, place)
        if found != name:
            return float(charge.most), place
        return min(float(charge.most), left + max(0.0, now - at) * charge.most / MINUTE_S), place

    def _put(self, charge: Charge, place: int, left: float, now: float) -> None:
        if charge.kind != "streams":
            _ROW.pack_into(self._map, place, self._name(charge), left, now)
            return
        mine = place + 32 + 4 * self._me
        held = struct.unpack_from("<i", self._map, mine)[0] + round(
            self._left(charge, now)[0] - left
        )
        struct.pack_into("<i", self._map, mine, max(0, held))
        struct.pack_into("<d", self._map, place + 16, now)

    def _find(self, name: bytes, start: int, row: struct.Struct, rows: int) -> int:
        """The row of this name, else a free one, else the one that was used longest ago."""
        first = int.from_bytes(name[:4], "little")
        oldest = 0
        oldest_at = float("inf")
        at_offset = 24 if row is _ROW else 16
        for probe in range(_PROBES):
            place = start + (first + probe) % rows * row.size
            found = self._map[place : place + 16]
            if found == name or found == bytes(16):
                return place
            at = struct.unpack_from("<d", self._map, place + at_offset)[0]
            if at < oldest_at:
                oldest = place
                oldest_at = at
        return oldest

    def _name(self, charge: Charge) -> bytes:
        key = (charge.subject, charge.kind)
        if len(self._names) > 20_000:
            self._names.clear()
            self._places.clear()
        found = self._names.get(key)
        if found is None:
            raw = f"{charge.kind}\0{charge.subject}".encode()
            found = self._names[key] = hashlib.blake2b(raw, digest_size=16).digest()
        return found

    # -- processes
    # -------------------------------------------------------------------------------------

    def _place(self) -> int:
        """A column that no living process has, emptied."""
        for i in range(_PROCESSES):
            with suppress(OSError):
                _lock(self._file, i, fcntl.LOCK_EX | fcntl.LOCK_NB)
                with self._locked():
                    for row in range(_HELD_ROWS):
                        place = _HELD_AT + row * _HELD.size
                        if self._map[place] or self._map[place : place + 16] != bytes(16):
                            struct.pack_into("<i", self._map, place + 32 + 4 * i, 0)
                return i
        raise EnvironmentMissing(
            f"{_PROCESSES} gateways share this state already", hint="set another LLMOPS_STATE_DIR"
        )

    def _alive(self, process: int) -> bool:
        if process == self._me:
            return True
        try:
            _lock(self._file, process, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
        _lock(self._file, process, fcntl.LOCK_UN)
        return False

    @contextmanager
    def _locked(self) -> Iterator[None]:
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        self._map.close()
        os.close(self._file)


def _wait_s(charge: Charge, left: float) -> float:
    if charge.kind == "streams":
        return 1.0
    return max(0.0, (min(charge.amount, charge.most) - left) * MINUTE_S / charge.most)


def _lock(file: int, byte: int, how: int) -> None:
    """On the byte that belongs to one process for as long as it lives. (The contents have a lock of
    another kind.)
    """
    fcntl.lockf(file, how, 1, byte)
