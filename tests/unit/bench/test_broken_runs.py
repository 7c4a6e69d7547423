"""A run that a kill, or a failing disk, left in pieces: what is whole of it is shown."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from llmops_cli.bench.arrivals import Load
from llmops_cli.bench.record import Record
from llmops_cli.bench.spools import Book
from llmops_cli.show.runs import open_run

SAVED = Path(__file__).parents[2] / "golden" / "reports" / "llmops.bench-2.json"
MS = 1_000_000


def record(index: int) -> Record:
    start = index * 100 * MS
    return Record(
        index=index,
        intended_ns=start,
        sent_ns=start,
        first_ns=start + 20 * MS,
        end_ns=start + 90 * MS,
        done_ns=start + 90 * MS,
        chunks=8,
        output_tokens=8,
        status=200,
    )


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """A folder of a run that was killed after ten requests of one stream."""
    report = json.loads(SAVED.read_text())
    report["manifest"]["complete"] = False
    report["levels"] = []
    (tmp_path / "report.json").write_text(json.dumps(report))
    book = Book(loads=[Load(kind="closed", label="1 stream", concurrency=1)], repeats=[[]])
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / "book.json").write_bytes(msgspec.json.encode(book))
    lines = [msgspec.json.encode(record(index)) + b"\n" for index in range(10)]
    (tmp_path / "records" / "0-0-0.jsonl").write_bytes(b"".join(lines))
    return tmp_path


def test_a_damaged_line_is_left_out_and_told(killed: Path) -> None:
    place = killed / "records" / "0-0-0.jsonl"
    lines = place.read_bytes().splitlines(keepends=True)
    lines[3] = b"\x00" * 20 + b"\n"
    lines[5] = b"\xff\xfe\n"
    place.write_bytes(b"".join([*lines, lines[0][:30]]))
    opened = open_run(killed)
    assert opened.word == "partial: the run was killed, 2 damaged lines are left out"
    assert opened.report.levels[0].requests == 8


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff", b'{"loads": 3}'])
def test_without_its_book_a_run_is_as_its_report_has_it(killed: Path, raw: bytes) -> None:
    (killed / "records" / "book.json").write_bytes(raw)
    opened = open_run(killed)
    assert opened.word.startswith("partial: book.json cannot be read")
    assert opened.report.levels == []
