"""The files of a run: spools while it is under way, tables at its end, and a run that broke off
read again.
"""

from __future__ import annotations

import contextlib
import csv
import fcntl
import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from llmops_cli.bench.analysis import Repetition, analyse
from llmops_cli.bench.arrivals import Load
from llmops_cli.bench.plan import LevelDone
from llmops_cli.bench.record import METRICS, Record
from llmops_cli.bench.report import BenchReport, Level
from llmops_cli.bench.slo import parse_slos
from llmops_cli.core.errors import EnvironmentMissing
from llmops_cli.runtime.files import cannot_write, to_json, write_atomic

SPOOLS = "records"
SERIES_FIELDS = ("series", "client", "windows", "slos")


class Repeat(msgspec.Struct, kw_only=True):
    """What is known of a finished repetition besides its records."""

    done: list[LevelDone] = []
    samples: list[tuple[float, dict[str, float], dict[str, float]]] = []
    aborted: str | None = None


class Book(msgspec.Struct, kw_only=True):
    """What has been run so far: loads by level number, and per level its repetitions. Rewritten
    after each.
    """

    loads: list[Load] = []
    repeats: list[list[Repeat]] = []
    notes: list[str] = []
    slo: str | None = None


class Spools:
    """The folder of a run's records while it is under way. Held open by a lock, so others can
    tell.
    """

    def __init__(self, folder: Path, *, keep: bool = False) -> None:
        self.folder = folder / SPOOLS
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = (self.folder / "lock").open("w")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise EnvironmentMissing(
                f"another run is writing to {folder}", hint="choose another -o"
            ) from None
        except OSError as error:
            raise cannot_write(self.folder, error) from error
        if not keep:
            for stale in self.folder.glob("*.jsonl"):
                stale.unlink()

    def path(self, level: int, repetition: int, worker: int) -> Path:
        return self.folder / f"{level}-{repetition}-{worker}.jsonl"

    def remember(self, book: Book) -> None:
        write_atomic(self.folder / "book.json", msgspec.json.encode(book))

    def remove(self) -> None:
        for path in self.folder.iterdir():
            path.unlink()
        self.folder.rmdir()
        self._lock.close()


def read_spools(folder: Path, level: int, repetition: int) -> Iterator[Record]:
    """Finished requests, worker by worker. A last line that was cut off is left out."""
    decode = msgspec.json.Decoder(Record).decode
    for path in sorted(folder.glob(f"{level}-{repetition}-*.jsonl")):
        with path.open("rb") as file:
            for line in file:
                try:
                    yield decode(line)
                except msgspec.DecodeError:
                    if line.endswith(b"\n"):
                        raise


def level_of(folder: Path, book: Book, number: int) -> Level:
    """The statistics of a level from the spools."""

    def reader(repetition: int) -> Repetition:
        known = (
            book.repeats[number][repetition] if repetition < len(book.repeats[number]) else Repeat()
        )
        return Repetition(
            records=lambda: read_spools(folder, number, repetition),
            done=known.done,
            samples=known.samples,
            aborted=known.aborted,
        )

    count = max(
        len(book.repeats[number]),
        len({p.name.split("-")[1] for p in folder.glob(f"{number}-*.jsonl")}),
    )
    slos = parse_slos(book.slo) if book.slo else ()
    return analyse(
        book.loads[number], [reader(i) for i in range(count)], slos=slos, notes=book.notes
    )


def levels_of(folder: Path, book: Book) -> list[Level]:
    """Levels that have at least one record."""
    return [
        level_of(folder, book, number)
        for number in range(len(book.loads))
        if any(path.stat().st_size for path in folder.glob(f"{number}-*.jsonl"))
    ]


def reread(path: Path, report: BenchReport) -> tuple[BenchReport, str]:
    """The report of the run in a folder as it stands, and a word on it; empty for a whole run.

    Of a run that was killed, or is still going, every request that ended is in it. A killed run's
    tables are written, so that this is needed once.
    """
    folder = path / SPOOLS
    if report.manifest.complete:
        return report, ""
    if not (folder / "book.json").is_file():
        return report, "partial"
    book = msgspec.json.decode((folder / "book.json").read_bytes(), type=Book)
    report = msgspec.structs.replace(report, levels=levels_of(folder, book))
    try:
        spools = Spools(path, keep=True)
    except EnvironmentMissing:
        return report, "partial: the run is still going"
    form = str(report.manifest.recipe.get("records", "csv"))
    with contextlib.suppress(EnvironmentMissing):
        finish(report, spools, book, path, form=form)
    return report, "partial: the run was killed"


def finish(report: BenchReport, spools: Spools, book: Book, folder: Path, *, form: str) -> None:
    """The tables of a run that has ended; the spools go when everything is in place."""
    records = (
        record
        for level, repeats in enumerate(book.repeats)
        for repetition in range(len(repeats) + 1)  # one may be unfinished
        for record in read_spools(spools.folder, level, repetition)
    )
    (save_parquet if form == "parquet" else save_csv)(records, book.loads, folder)
    write_atomic(folder / "report.csv", levels_csv(report.levels).encode())
    write_atomic(folder / "report.json", to_json(report))
    spools.remove()


RECORD_FIELDS = tuple(name for name in Record.__struct_fields__ if name != "gaps")
COLUMNS = ("load", *RECORD_FIELDS, *METRICS)


def _row(record: Record, loads: Sequence[Load]) -> list[object]:
    values = [getattr(record, name) for name in RECORD_FIELDS]
    failed = record.error is not None
    metrics = [
        None if failed and name != "queue_delay_ms" else metric(record)
        for name, metric in METRICS.items()
    ]
    return [
        loads[record.level].label,
        *values,
        *(None if v is None else round(v, 6) for v in metrics),
    ]


def save_csv(records: Iterable[Record], loads: Sequence[Load], folder: Path) -> None:
    """One line per request: offsets in ns, metrics in ms."""
    path = folder / "records.csv"
    temporary = path.with_name(".records.csv.tmp")
    try:
        with temporary.open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS)
            writer.writerows(_row(record, loads) for record in records)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise cannot_write(path, error) from error


def save_parquet(records: Iterable[Record], loads: Sequence[Load], folder: Path) -> None:
    """The same columns, 10,000 rows at a time."""
    import pyarrow
    from pyarrow.parquet import ParquetWriter

    names = {
        "load": pyarrow.string(),
        "counted_by": pyarrow.string(),
        "finish_reason": pyarrow.string(),
        "text_sha256": pyarrow.string(),
        "error": pyarrow.string(),
        "error_kind": pyarrow.string(),
    }
    schema = pyarrow.schema(
        [
            (name, names.get(name, pyarrow.float64() if name in METRICS else pyarrow.int64()))
            for name in COLUMNS
        ]
    )
    path = folder / "records.parquet"
    temporary = path.with_name(".records.parquet.tmp")
    try:
        with ParquetWriter(temporary, schema) as writer:
            batch: list[list[object]] = []
            for record in records:
                batch.append(_row(record, loads))
                if len(batch) == 10_000:
                    writer.write_batch(
                        pyarrow.record_batch(
                            list(map(list, zip(*batch, strict=True))), schema=schema
                        )
                    )
                    batch = []
            if batch:
                writer.write_batch(
                    pyarrow.record_batch(list(map(list, zip(*batch, strict=True))), schema=schema)
                )
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise cannot_write(path, error) from error


def levels_csv(levels: Sequence[Level]) -> str:
    """One line per level; distributions become ttft_ms_p50, ttft_ms_p50_low and so on."""
    rows = []
    for level in levels:
        row: dict[str, object] = {}
        for name, value in msgspec.to_builtins(level).items():
            if name in SERIES_FIELDS or name in ("rates_ci95", "rates_each"):
                continue
            if isinstance(value, dict) and "ci95" in value:
                intervals = value.pop("ci95")
                row |= {f"{name}_{key}": part for key, part in value.items()}
                for key in ("mean", "p50", "p95", "p99"):
                    low, high = intervals.get(key, (None, None))
                    row |= {f"{name}_{key}_low": low, f"{name}_{key}_high": high}
            elif isinstance(value, dict):
                row[name] = "; ".join(f"{key}: {count}" for key, count in value.items())
            else:
                row[name] = "; ".join(map(str, value)) if isinstance(value, list) else value
        for rate in ("requests_per_s", "output_tokens_per_s"):
            row[f"{rate}_low"], row[f"{rate}_high"] = level.rates_ci95.get(rate, (None, None))
        rows.append(row)
    out = io.StringIO()
    if rows:
        writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return out.getvalue()
