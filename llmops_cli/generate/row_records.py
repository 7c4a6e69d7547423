"""What became of each row, beside a batch's report, so that saved batches are paired row by row."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.core.wrong_json import UNREADABLE
from llmops_cli.generate.journal import Entry, Journal
from llmops_cli.generate.output import NOT_ASKED
from llmops_cli.runtime.files import cannot_write
from llmops_cli.runtime.runs import RunFolder
from llmops_cli.show.runs import OpenedRun

ROWS = "rows.jsonl"


class RowRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """`key`: of what the row asks. `seconds`: until it was answered, waits included."""

    key: str
    input_tokens: int
    output_tokens: int
    seconds: float | None
    error: str

    @property
    def is_asked(self) -> bool:
        return self.error != NOT_ASKED.kind


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(RowRecord).decode


def write_records(folder: RunFolder, keys: array[int], journal: Journal) -> None:
    """In the order of the input. Raises: EnvironmentMissing for a full disk."""
    path = folder.path / ROWS
    try:
        with path.open("wb") as file:
            for number, key in enumerate(keys):
                file.write(_encode(_record(key, journal.entry(number))) + b"\n")
    except OSError as error:
        raise cannot_write(path, error) from error


def _record(key: int, entry: Entry | None) -> RowRecord:
    name = f"{key:016x}"
    if entry is None:
        return RowRecord(name, 0, 0, None, NOT_ASKED.kind)
    return RowRecord(name, entry.input_tokens, entry.output_tokens, entry.seconds, entry.error)


def saved_records(run: OpenedRun) -> dict[str, RowRecord]:
    """Every row of the run's folder; a question that comes again is another one each time.

    Raises: UsageError for none.
    """
    path = run.path / ROWS
    if not path.is_file():
        raise UsageError(
            f"{run.name} does not tell its rows one by one",
            hint="the whole folder of a run of this version",
        )
    seen: Counter[str] = Counter()
    found = {}
    for record in _read(path):
        seen[record.key] += 1
        again = f" ({seen[record.key]})" if seen[record.key] > 1 else ""
        found[record.key + again] = record
    return found


def _read(path: Path) -> Iterator[RowRecord]:
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            try:
                yield _decode(raw)
            except UNREADABLE as error:
                said = f"{path}, line {number}: no record of a row"
                raise UsageError(said, hint="a run's folder as it was written") from error
