"""The per-request table of a run: offsets in ns, metrics in ms, one line each.

`level` is the number of a line of report.csv. `in_window`, 1 or 0: whether the request was due in
the window that the level's statistics are about; those of a level are of its requests with 1.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from llmops_cli.bench.arrivals import Load
from llmops_cli.bench.record import METRICS, Record
from llmops_cli.bench.report import Level
from llmops_cli.runtime.files import written

if TYPE_CHECKING:
    from pyarrow import Schema

RECORD_FIELDS = tuple(name for name in Record.__struct_fields__ if name != "gaps")
IN_WINDOW = "in_window"
COLUMNS = ("load", *RECORD_FIELDS, *METRICS, IN_WINDOW)
TEXTS = ("load", "counted_by", "finish_reason", "text_sha256", "error", "error_kind")
OF_FAILED = "queue_delay_ms"
"""The metric that a failed request has."""
BATCH_ROWS = 10_000


def _row(
    record: Record,
    loads: Sequence[Load],
    levels: Sequence[Level],
) -> list[object]:
    load = loads[record.level]
    cells: list[object] = [load.label]
    cells += [getattr(record, name) for name in RECORD_FIELDS]
    for name, metric in METRICS.items():
        value = None
        if record.error is None or name == OF_FAILED:
            value = metric(record)
        if value is not None:
            value = round(value, 6)
        cells.append(value)
    cells.append(_is_in_window(record, levels))
    return cells


def _is_in_window(record: Record, levels: Sequence[Level]) -> int:
    """A level that broke off has no window for what it did not finish."""
    if record.level >= len(levels):
        return 0
    windows = levels[record.level].windows
    if record.repetition >= len(windows):
        return 0
    window = windows[record.repetition]
    begun_ns = max(0, record.intended_ns)
    return int(int(window.start_s * 1e9) <= begun_ns <= int(window.end_s * 1e9))


def save_csv(
    records: Iterable[Record],
    loads: Sequence[Load],
    levels: Sequence[Level],
    folder: Path,
) -> None:
    """records.csv. Raises: EnvironmentMissing if it cannot be written."""
    rows = (_row(record, loads, levels) for record in records)
    with (
        written(folder / "records.csv") as path,
        path.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(rows)


def save_parquet(
    records: Iterable[Record],
    loads: Sequence[Load],
    levels: Sequence[Level],
    folder: Path,
) -> None:
    """records.parquet, the same columns. Raises: as `save_csv`."""
    import pyarrow
    from pyarrow.parquet import ParquetWriter

    schema = _schema()
    rows = (_row(record, loads, levels) for record in records)
    with (
        written(folder / "records.parquet") as path,
        ParquetWriter(path, schema) as writer,
    ):
        while batch := list(islice(rows, BATCH_ROWS)):
            columns = [list(column) for column in zip(*batch, strict=True)]
            table = pyarrow.record_batch(columns, schema=schema)
            writer.write_batch(table)


def _schema() -> Schema:
    import pyarrow

    types = []
    for name in COLUMNS:
        kind = pyarrow.int64()
        if name in TEXTS:
            kind = pyarrow.string()
        elif name in METRICS:
            kind = pyarrow.float64()
        types.append((name, kind))
    return pyarrow.schema(types)
