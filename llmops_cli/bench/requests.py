"""The per-request table of a saved run, as columns."""

from __future__ import annotations

import csv
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from llmops_cli.bench.report import Level
from llmops_cli.core.errors import EnvironmentMissing, UsageError
from llmops_cli.runtime.files import write_atomic, written

if TYPE_CHECKING:
    from numpy import ndarray

KEYS = ("level", "repetition", "index", "turn", "intended_ns")
METRICS = ("ttft_ms", "tpot_ms", "e2e_ms", "normalized_ms", "queue_delay_ms")
COLUMNS = [*KEYS, *METRICS, "error"]
NAN = float("nan")


class Requests:
    """Columns over all requests of a run, in the file's order.

    A metric that a request lacks is NaN.
    """

    def __init__(self, columns: dict[str, ndarray]) -> None:
        self._columns = columns

    def __getitem__(self, name: str) -> ndarray:
        return self._columns[name]

    def __len__(self) -> int:
        return len(self._columns["index"])

    def measured(self, number: int, level: Level) -> ndarray:
        """A mask (n,) of the level's requests that its statistics are about.

        They are successful and inside the window.
        """
        import numpy as np

        mask = np.zeros(len(self), dtype=bool)
        begun = np.maximum(self["intended_ns"], 0)
        for repetition, window in enumerate(level.windows):
            start_ns = int(window.start_s * 1e9)
            end_ns = int(window.end_s * 1e9)
            inside = (begun >= start_ns) & (begun <= end_ns)
            mask |= inside & (self["repetition"] == repetition)
        is_of_level = self["level"] == number
        is_good = self["failed"] == 0
        mask &= is_of_level & is_good
        return mask


def load_requests(folder: Path, *, every: int = 1) -> Requests | None:
    """The run's records.parquet or records.csv; None if it has neither.

    `every` takes only each n-th request. Raises: UsageError for a broken table.
    """
    for name, read in (("records.parquet", _parquet_rows), ("records.csv", _csv_rows)):
        path = folder / name
        if not path.is_file():
            continue
        try:
            return _gather(islice(read(path), 0, None, every))
        except (ValueError, LookupError, csv.Error) as error:
            raise _no_table(path) from error
    return None


def _no_table(path: Path) -> UsageError:
    return UsageError(
        f"{path} is no table of requests as llmops writes it",
        hint="it was changed or cut after it was written",
    )


def _csv_rows(path: Path) -> Iterator[list[object]]:
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.reader(file)
        header = next(reader, [])
        places = [header.index(name) for name in COLUMNS]
        for row in reader:
            yield [row[place] for place in places]


def _parquet_rows(path: Path) -> Iterator[list[object]]:
    try:
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise _no_pyarrow() from None
    file = ParquetFile(path)
    for batch in file.iter_batches(columns=COLUMNS):
        columns = [batch.column(name).to_pylist() for name in COLUMNS]
        rows = zip(*columns, strict=True)
        yield from map(list, rows)


def _gather(rows: Iterable[Sequence[object]]) -> Requests:
    """Rows of COLUMNS."""
    columns = _Columns()
    for row in rows:
        columns.add(row)
    return columns.requests()


class _Columns:
    """A table as it grows, in arrays of numbers."""

    def __init__(self) -> None:
        self._keys = [array("q") for _ in KEYS]
        self._metrics = [array("d") for _ in METRICS]
        self._failed = array("b")

    def add(self, row: Sequence[object]) -> None:
        """Raises: ValueError for a cell that is no number."""
        keys_end = len(self._keys)
        for cell, column in zip(row, self._keys, strict=False):
            column.append(int(cell))  # type: ignore[call-overload]
        for cell, numbers in zip(row[keys_end:], self._metrics, strict=False):
            numbers.append(_number(cell))
        has_failed = bool(row[-1])
        self._failed.append(has_failed)

    def requests(self) -> Requests:
        import numpy as np

        columns: dict[str, ndarray] = {}
        for name, values in zip(KEYS, self._keys, strict=True):
            columns[name] = np.frombuffer(values, dtype=np.int64)
        for name, numbers in zip(METRICS, self._metrics, strict=True):
            columns[name] = np.frombuffer(numbers)
        columns["failed"] = np.frombuffer(self._failed, dtype=np.int8)
        return Requests(columns)


def _number(cell: object) -> float:
    if cell is None or cell == "":
        return NAN
    return float(cell)  # type: ignore[arg-type]


def save_csv(folder: Path, target: Path) -> None:
    """The run's per-request table as CSV. Raises: as `save_parquet`."""
    source = folder / "records.csv"
    if source.is_file():
        write_atomic(target, source.read_bytes())
        return
    parquet_file = folder / "records.parquet"
    if not parquet_file.is_file():
        raise UsageError(f"{folder} has no per-request table")
    try:
        from pyarrow import csv as arrow_csv
        from pyarrow import parquet
    except ImportError:
        raise _no_pyarrow() from None
    try:
        table = parquet.read_table(parquet_file)
    except (ValueError, OSError) as error:
        raise _no_table(parquet_file) from error
    with written(target) as path:
        arrow_csv.write_csv(table, path)


def _no_pyarrow() -> EnvironmentMissing:
    return EnvironmentMissing("Parquet needs pyarrow", hint="pip install 'llmops-cli[parquet]'")


def save_parquet(folder: Path, target: Path) -> None:
    """The run's per-request table as Parquet.

    Raises: EnvironmentMissing without pyarrow, UsageError if the run has no such table.
    """
    source = folder / "records.csv"
    parquet_file = folder / "records.parquet"
    if parquet_file.is_file():
        write_atomic(target, parquet_file.read_bytes())
        return
    if not source.is_file():
        raise UsageError(f"{folder} has no per-request table")
    try:
        from pyarrow import csv as arrow_csv
        from pyarrow import parquet
    except ImportError:
        raise _no_pyarrow() from None
    try:
        with written(target) as path:
            reader = arrow_csv.open_csv(source)
            with parquet.ParquetWriter(path, reader.schema) as writer:
                for batch in reader:
                    writer.write_batch(batch)
    except ValueError as error:
        raise _no_table(source) from error
