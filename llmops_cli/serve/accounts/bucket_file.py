"""Limits that all processes of one machine share: buckets in a file, mapped into memory.

A process that is killed leaves nothing behind: the system drops its locks, and the streams that it
held stand in a column of its own, which the others clear.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from llmops_cli.serve.accounts.bucket_tables import BucketRow, RateTable, StreamTable
from llmops_cli.serve.accounts.charge import BucketState, Charge, LimitDecision
from llmops_cli.serve.accounts.process_slots import ProcessSlots
from llmops_cli.serve.accounts.shared_file import SharedFile

FILE = "limits"
MAGIC = b"llmops-limits-2\n"
RATES_AT = 4096
STREAMS_AT = RATES_AT + RateTable.SIZE
NAMES_MOST = 20_000


class BucketFile:
    """The buckets of one state folder."""

    def __init__(
        self,
        folder: Path,
        *,
        name: str = FILE,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Raises: EnvironmentMissing if nothing can be kept there."""
        size = STREAMS_AT + StreamTable.SIZE
        self._file = SharedFile(folder / name, size=size, magic=MAGIC)
        self._lock = self._file.lock
        self._clock = clock
        slots = ProcessSlots(self._file.descriptor)
        self._rates = RateTable(self._file.memory, RATES_AT)
        self._streams = StreamTable(self._file.memory, STREAMS_AT, slots)
        self._names: dict[tuple[str, str], bytes] = {}
        with self._lock:
            self._streams.clear_mine()

    def take(self, charges: Sequence[Charge]) -> LimitDecision:
        """All charges or none."""
        now = self._clock()
        with self._lock:
            rows = [self._row(charge, now) for charge in charges]
            refused = _refused(charges, rows)
            if refused is None:
                for charge, row in zip(charges, rows, strict=True):
                    self._take(charge, row, charge.amount, now)
        buckets = []
        for charge, row in zip(charges, rows, strict=True):
            if refused is None:
                buckets.append(BucketState(row.left - charge.amount, 0.0))
            else:
                buckets.append(BucketState(row.left, charge.wait_s(row.left)))
        return LimitDecision(refused, buckets)

    def give_back(self, charges: Sequence[Charge]) -> None:
        """Amounts that were not used after all, and streams that have ended.

        A negative amount: more was used.
        """
        now = self._clock()
        with self._lock:
            for charge in charges:
                row = self._row(charge, now)
                self._take(charge, row, -charge.amount, now)

    def close(self) -> None:
        self._file.close()

    def _row(self, charge: Charge, now: float) -> BucketRow:
        name = self._names.get((charge.subject, charge.kind)) or self._name(charge)
        if charge.kind == "streams":
            return self._streams.row(name, charge.most, now)
        return self._rates.row(name, charge.most, now)

    def _take(
        self,
        charge: Charge,
        row: BucketRow,
        amount: float,
        now: float,
    ) -> None:
        if charge.kind == "streams":
            self._streams.hold(row.offset, round(amount), now)
            return
        left = row.left - amount
        left = min(left, charge.most)
        self._rates.write(row, left, now)

    def _name(self, charge: Charge) -> bytes:
        if len(self._names) > NAMES_MOST:
            self._names.clear()
        raw = f"{charge.kind}\0{charge.subject}".encode()
        found = hashlib.blake2b(raw, digest_size=16).digest()
        self._names[charge.subject, charge.kind] = found
        return found


def _refused(charges: Sequence[Charge], rows: Sequence[BucketRow]) -> Charge | None:
    """The first charge that there is not enough for."""
    for charge, row in zip(charges, rows, strict=True):
        if not charge.fits(row.left):
            return charge
    return None


class MachineLimiter:
    """The file's buckets as a Limiter: they take microseconds, so nothing is awaited."""

    def __init__(self, file: BucketFile) -> None:
        self._file = file

    async def take(self, charges: Sequence[Charge]) -> LimitDecision:
        return self._file.take(charges)

    async def give_back(self, charges: Sequence[Charge], lease: str = "") -> None:
        self._file.give_back(charges)
