"""The files of a run at its end, and a run that broke off read again."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from llmops_cli.bench.level_table import levels_csv
from llmops_cli.bench.record import Record
from llmops_cli.bench.record_table import save_csv, save_parquet
from llmops_cli.bench.report import BenchReport
from llmops_cli.bench.spools import (
    SPOOLS,
    AnotherWriter,
    Book,
    Spools,
    damaged_lines,
    levels_of,
    read_spools,
)
from llmops_cli.core.errors import EnvironmentMissing
from llmops_cli.core.wrong_json import UNREADABLE, wrong_in
from llmops_cli.runtime.files import to_json, write_atomic


def reread(path: Path, report: BenchReport) -> tuple[BenchReport, str]:
    """The report of the run in a folder as it stands, and a word on it; empty for a whole run.

    Of a run that was killed, or is still going, every request that ended is in it. A killed run's
    tables are written, so that this is needed once.
    """
    folder = path / SPOOLS
    if report.manifest.complete:
        return report, ""
    saved = folder / "book.json"
    if not saved.is_file():
        return report, "partial"
    raw = saved.read_bytes()
    try:
        book = msgspec.json.decode(raw, type=Book)
    except UNREADABLE:
        return report, f"partial: {saved.name} cannot be read: {wrong_in(raw, Book)}"
    levels = levels_of(folder, book)
    report = msgspec.structs.replace(report, levels=levels)
    damaged = damaged_lines(folder)
    without = f", {damaged} damaged lines are left out" if damaged else ""
    try:
        spools = Spools(path, keep=True)
    except AnotherWriter:
        return report, f"partial: the run is still going{without}"
    except EnvironmentMissing:  # somebody else's folder: its tables are left as they are
        return report, f"partial: the run was killed{without}"
    form = report.manifest.recipe.get("records", "csv")
    with contextlib.suppress(EnvironmentMissing):
        finish(report, spools, book, path, form=str(form))
    return report, f"partial: the run was killed{without}"


def finish(
    report: BenchReport,
    spools: Spools,
    book: Book,
    folder: Path,
    *,
    form: str,
) -> None:
    """The tables of a run that has ended; the spools go when everything is in place."""
    records = _all_records(spools, book)
    if form == "parquet":
        save_parquet(records, book.loads, report.levels, folder)
    else:
        save_csv(records, book.loads, report.levels, folder)
    table = levels_csv(report.levels)
    write_atomic(folder / "report.csv", table.encode())
    write_atomic(folder / "report.json", to_json(report))
    spools.remove()


def _all_records(spools: Spools, book: Book) -> Iterator[Record]:
    for level, repeats in enumerate(book.repeats):
        most = len(repeats) + 1  # one may be unfinished
        for repetition in range(most):
            yield from read_spools(spools.folder, level, repetition)
