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
from llmops_cli.runtime.files import cannot_write, write_atomic

if TYPE_CHECKING:
    from numpy import ndarray

KEYS = ("level", "repetition", "index", "turn", "intended_ns")
METRICS = ("ttft_ms", "tpot_ms", "e2e_ms", "normalized_ms", "queue_delay_ms")


class Requests:
    """Columns over all requests of a run, in the file's order; a metric that a request lacks is
    NaN.
    """

    def __init__(self, columns: dict[str, ndarray]) -> None:
        self._columns = columns

    def __getitem__(self, name: str) -> ndarray:
        return self._columns[name]

    def __len__(self) -> int:
        return len(self._columns["index"])

    def measured(self, number: int, level: Level) -> ndarray:
        """A mask (n,) of the level's requests that its statistics are about: successful, inside the
        window.
        """
        import numpy as np

        mask = np.zeros(len(self), dtype=bool)
        for repetition, window in enumerate(level.windows):
            at = np.maximum(self["intended_ns"], 0)
            inside = (at >= int(window.start_s * 1e9)) & (at <= int(window.end_s * 1e9))
            mask |= inside & (self["repetition"] == repetition)
        mask &= (self["level"] == number) & (self["failed"] == 0)
        return mask


def load_requests(folder: Path, *, every: int = 1) -> Requests | None:
    """The run's records.parquet or records.csv; None if it has neither. `every` takes only each
    n-th request.

    Raises: UsageError for a broken table.
    """
    if (folder / "records.parquet").is_file():
        return _gather(islice(_parquet_rows(folder / "records.parquet"), 0, None, every))
    path = folder / "records.csv"
    if not path.is_file():
        return None
    with path.open(newline="") as file:
        reader = csv.reader(file)
        header = next(reader, [])
        try:
            places = [header.index(name) for name in (*KEYS, *METRICS, "error")]
            return _gather(
                [row[place] for place in places] for row in islice(reader, 0, None, every)
            )
        except (ValueError, IndexError) as error:
            raise UsageError(f"{path} is no table of ours: {error}") from error


def _parquet_rows(path: Path) -> Iterator[list[object]]:
    try:
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise EnvironmentMissing(
            "Parquet needs pyarrow", hint="pip install 'llmops-cli[parquet]'"
        ) from None
    names = [*KEYS, *METRICS, "error"]
    for batch in ParquetFile(path).iter_batches(columns=names):
        columns = [batch.column(name).to_pylist() for name in names]
        yield from (list(row) for row in zip(*columns, strict=True))


def _gather(rows: Iterable[Sequence[object]]) -> Requests:
    import numpy as np

    whole = [array("q") for _ in KEYS]
    parts = [array("d") for _ in METRICS]
    failed = array("b")
    nan = float("nan")
    for row in rows:
        for i, column in enumerate(whole):
            column.append(int(row[i]))  # type: ignore[call-overload]
        for i, number in enumerate(parts, len(KEYS)):
            cell = row[i]
            number.append(nan if cell is None or cell == "" else float(cell))  # type: ignore[arg-type]
        failed.append(1 if row[-1] else 0)
    columns: dict[str, ndarray] = {
        name: np.frombuffer(values, dtype=np.int64)
        for name, values in zip(KEYS, whole, strict=True)
    }
    columns |= {name: np.frombuffer(values) for name, values in zip(METRICS, parts, strict=True)}
    columns["failed"] = np.frombuffer(failed, dtype=np.int8)
    return Requests(columns)


def save_parquet(folder: Path, target: Path) -> None:
    """The run's per-request table as Parquet.

    Raises: EnvironmentMissing without pyarrow, UsageError if the run has no such table.
    """
    source = folder / "records.csv"
    if (folder / "records.parquet").is_file():
        write_atomic(target, (folder / "records.parquet").read_bytes())
        return
    if not source.is_file():
        raise UsageError(f"{folder} has no per-request table")
    try:
        from pyarrow import csv as arrow_csv
        from pyarrow import parquet
    except ImportError:
        raise EnvironmentMissing(
            "Parquet needs pyarrow", hint="pip install 'llmops-cli[parquet]'"
        ) from None
    try:
        reader = arrow_csv.open_csv(source)
        with parquet.ParquetWriter(target, reader.schema) as writer:
            for batch in reader:
                writer.write_batch(batch)
    except OSError as error:
        raise cannot_write(target, error) from error
