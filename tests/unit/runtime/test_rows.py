"""Lines of JSON are cut at line feeds only, whatever they are packed in."""

from __future__ import annotations

import bz2
import gzip
import lzma
from pathlib import Path

import pytest

from llmops_cli.core.errors import UsageError
from llmops_cli.runtime.rows import kind_of_name, lines_in

LINES = b'\xef\xbb\xbf{"a": "x\xe2\x80\xa8y\xc2\x85z"}\r\n\n \t\n{"b": 1}'
FOUND = [(1, b'{"a": "x\xe2\x80\xa8y\xc2\x85z"}'), (4, b'{"b": 1}')]


@pytest.mark.parametrize(
    ("ending", "packed"),
    [
        ("", LINES),
        (".gz", gzip.compress(LINES, mtime=0)),
        (".bz2", bz2.compress(LINES)),
        (".xz", lzma.compress(LINES)),
    ],
)
def test_lines_with_their_numbers(tmp_path: Path, ending: str, packed: bytes) -> None:
    path = tmp_path / f"rows.jsonl{ending}"
    path.write_bytes(packed)
    assert list(lines_in(path)) == FOUND
    assert kind_of_name(path) == ".jsonl"
    if ending:
        path.write_bytes(packed[:-6])
        with pytest.raises(UsageError, match="cannot be unpacked"):
            list(lines_in(path))


def test_what_is_no_packed_file_is_said(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(b"{}")
    with pytest.raises(UsageError, match="cannot be unpacked"):
        list(lines_in(path))
