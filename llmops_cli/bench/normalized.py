"""Workload rows on their way into one file of our own form, in order of time and counted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from llmops_cli.bench.lines import Row
from llmops_cli.bench.rows import PromptRow, Rows, SkippedRow
from llmops_cli.core.counted import counted


class Normalized(msgspec.Struct, frozen=True, kw_only=True):
    """`notes`: what a reader of the figures must know of the file, a sentence each."""

    count: int
    notes: tuple[str, ...] = ()


class Spooled:
    """Writes rows one by one; what is kept of them is their times, if those fall."""

    def __init__(self, path: Path) -> None:
        self.count = 0
        self._path = path
        self._file = path.open("wb")
        self._encode = msgspec.json.encode
        self._last_s = 0.0
        self._first_s = 0.0
        self._falls = 0
        self._skipped: dict[str, list[str]] = {}
        self._skipped_count: dict[str, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def add(self, row: Row) -> None:
        if isinstance(row, SkippedRow):
            self._skip(row)
            return
        if self.count == 0:
            self._first_s = row.at_s
        elif row.at_s < self._last_s:
            self._falls += 1
        self._first_s = min(self._first_s, row.at_s)
        self._last_s = row.at_s
        self._file.write(self._encode(row) + b"\n")
        self.count += 1

    def _skip(self, row: SkippedRow) -> None:
        self._skipped.setdefault(row.reason, [row.where])
        self._skipped_count[row.reason] = self._skipped_count.get(row.reason, 0) + 1

    def why_none(self) -> str | None:
        """Where nothing was left: what all rows were skipped for."""
        for reason, count in self._skipped_count.items():
            return f"{_skipped_rows(count)}: {reason}"
        return None

    def normalized(self, name: str) -> Normalized:
        """After the last row: in order of time, from 0 on."""
        notes = []
        if self._falls or self._first_s:
            self._rewrite(sorts=bool(self._falls))
        if self._falls:
            notes.append(
                f"{name}: its times fall {counted(self._falls, 'time')}; "
                "requests are sent in order of time"
            )
        for reason, count in self._skipped_count.items():
            (first,) = self._skipped[reason]
            notes.append(f"{_skipped_rows(count)}: {reason} (first: {first})")
        return Normalized(count=self.count, notes=tuple(notes))

    def _rewrite(self, *, sorts: bool) -> None:
        rows = Rows(self._path)
        ordered = self._path.with_name(f"{self._path.name}.ordered")
        try:
            with ordered.open("wb") as file:
                for row in self._in_order(rows, sorts=sorts):
                    row.at_s -= self._first_s
                    file.write(self._encode(row) + b"\n")
        finally:
            rows.close()
        ordered.replace(self._path)

    def _in_order(self, rows: Rows, *, sorts: bool) -> Iterator[PromptRow]:
        numbers = list(range(len(rows)))
        if sorts:
            times_s = [rows[number].at_s for number in numbers]
            numbers.sort(key=times_s.__getitem__)
        for number in numbers:
            yield rows[number]


def _skipped_rows(count: int) -> str:
    verb = "was" if count == 1 else "were"
    return f"{counted(count, 'row')} {verb} skipped"
