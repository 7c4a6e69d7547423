"""The records of a run while it is under way, and its levels from them."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from pathlib import Path

import msgspec

from llmops_cli.bench.analysis import Repetition, analyse
from llmops_cli.bench.arrivals import Load
from llmops_cli.bench.plan import LevelDone
from llmops_cli.bench.record import Record
from llmops_cli.bench.report import Level
from llmops_cli.bench.series import SampledAt
from llmops_cli.bench.slo import Slo, parse_slos
from llmops_cli.core.errors import EnvironmentMissing
from llmops_cli.core.wrong_json import UNREADABLE
from llmops_cli.runtime.files import cannot_write, write_atomic

SPOOLS = "records"


class Repeat(msgspec.Struct, kw_only=True):
    """What is known of a finished repetition besides its records."""

    done: list[LevelDone] = []
    samples: list[SampledAt] = []
    aborted: str | None = None


class Book(msgspec.Struct, kw_only=True):
    """What has been run so far: loads by level number, and per level its repetitions.

    Rewritten after each.
    """

    loads: list[Load] = []
    repeats: list[list[Repeat]] = []
    notes: list[str] = []
    slo: str | None = None
    max_error_rate: float | None = None
    usd_per_hour: float | None = None


class AnotherWriter(EnvironmentMissing):
    """A run of another process is writing to the folder."""


class Spools:
    """The folder of a run's records while it is under way.

    Held open by a lock, so others can tell.
    """

    def __init__(self, folder: Path, *, keep: bool = False) -> None:
        self.folder = folder / SPOOLS
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock_file = self.folder / "lock"
            self._lock = lock_file.open("w", encoding="utf-8")
            exclusive = fcntl.LOCK_EX | fcntl.LOCK_NB
            fcntl.flock(self._lock, exclusive)
        except BlockingIOError:
            raise AnotherWriter(
                f"another run is writing to {folder}", hint="choose another -o"
            ) from None
        except OSError as error:
            raise cannot_write(self.folder, error) from error
        if not keep:
            for stale in self.folder.glob("*.jsonl"):
                stale.unlink()

    def path(
        self,
        level: int,
        repetition: int,
        worker: int,
    ) -> Path:
        return self.folder / f"{level}-{repetition}-{worker}.jsonl"

    def remember(self, book: Book) -> None:
        saved = self.folder / "book.json"
        write_atomic(saved, msgspec.json.encode(book))

    def remove(self) -> None:
        for path in self.folder.iterdir():
            path.unlink()
        self.folder.rmdir()
        self._lock.close()


def read_spools(
    folder: Path,
    level: int,
    repetition: int,
) -> Iterator[Record]:
    """Finished requests, worker by worker. What is no record is left out: `damaged_lines`."""
    for path in sorted(folder.glob(f"{level}-{repetition}-*.jsonl")):
        with path.open("rb") as file:
            for line in file:
                record = _record(line)
                if record is not None:
                    yield record


_decode = msgspec.json.Decoder(Record).decode


def _record(line: bytes) -> Record | None:
    try:
        return _decode(line)
    except UNREADABLE:
        return None


def damaged_lines(folder: Path) -> int:
    """Lines that a failing disk or a power cut made unreadable.

    A last one without an end is none of them: a kill cut it off.
    """
    damaged = 0
    for path in folder.glob("*-*-*.jsonl"):
        with path.open("rb") as file:
            damaged += sum(line.endswith(b"\n") and _record(line) is None for line in file)
    return damaged


def level_of(
    folder: Path,
    book: Book,
    number: int,
) -> Level:
    """The statistics of a level from the spools."""
    known = book.repeats[number]
    spooled = set()
    for path in folder.glob(f"{number}-*.jsonl"):
        _, repetition_text, *_ = path.name.split("-")
        spooled.add(repetition_text)
    count = max(len(known), len(spooled))
    repetitions = []
    for repetition in range(count):
        repeat = Repeat()
        if repetition < len(known):
            repeat = known[repetition]
        found = _repetition(folder, number, repetition, repeat)
        repetitions.append(found)
    slos: tuple[Slo, ...] = ()
    if book.slo:
        slos = parse_slos(book.slo)
    load = book.loads[number]
    return analyse(
        load,
        repetitions,
        slos=slos,
        notes=book.notes,
        max_error_rate=book.max_error_rate,
        usd_per_hour=book.usd_per_hour,
    )


def _repetition(
    folder: Path,
    number: int,
    repetition: int,
    repeat: Repeat,
) -> Repetition:
    return Repetition(
        records=lambda: read_spools(folder, number, repetition),
        done=repeat.done,
        samples=repeat.samples,
        aborted=repeat.aborted,
    )


def levels_of(folder: Path, book: Book) -> list[Level]:
    """Levels that have at least one record."""
    levels = []
    for number in range(len(book.loads)):
        spools = list(folder.glob(f"{number}-*.jsonl"))
        has_records = any(path.stat().st_size for path in spools)
        if has_records:
            level = level_of(folder, book, number)
            levels.append(level)
    return levels
