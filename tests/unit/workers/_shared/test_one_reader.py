"""Every command reads a text alike: the toolkit's reader, the workers', and training's index."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from _shared.documents import rows_of
from _shared.protocol import JobError
from llmops_cli.bench.datasets import prompt_rows
from llmops_cli.bench.rows import PromptRow
from llmops_cli.core.errors import UsageError
from llmops_cli.guard.evaluation.rates import read_rows

BOM = b"\xef\xbb\xbf"
ODD = "a\u2028b\u2029c\u0085d\x0be\x0cf\x1cg\x1dh\x1ei\r j\ud7ff"
"""Characters at which str.splitlines cuts, and none of which ends a line of JSON."""
ENCODINGS = {"latin-1": b'{"text": "caf\xe9"}\n', "a cut character": b'{"text": "\xe2\x82"}\n'}


def trained(path: Path) -> Iterator[str]:
    pytest.importorskip("numpy")
    from train.data.scan import scan_lines

    begins: list[int] = []
    for rows in scan_lines(path, str(path), with_checksums=False):
        begins += rows.begins.tolist()
    content = path.read_bytes()
    for begin, end in zip(begins, [*begins[1:], None], strict=True):
        yield json.loads(content[begin:end])["text"]


def prompted(path: Path) -> Iterator[str]:
    for row in prompt_rows(path):
        assert isinstance(row, PromptRow)
        yield row.turns[0]


def judged(path: Path) -> Iterator[str]:
    return (row.text for row in read_rows(path))


READERS: dict[str, Callable[[Path], Iterator[Any]]] = {
    "calibration": rows_of,
    "training": trained,
    "bench": prompted,
    "guard": judged,
}


def line(text: str, **options: Any) -> bytes:
    return json.dumps({"text": text, "label": "benign"}, **options).encode("utf-8", "surrogatepass")


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
@pytest.mark.parametrize("start", [b"", BOM], ids=["plain", "bom"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"], ids=["lf", "crlf"])
def test_lines_end_at_line_feeds_only(
    tmp_path: Path, reader: Callable[[Path], Iterator[Any]], start: bytes, end: bytes
) -> None:
    path = tmp_path / "rows.jsonl"
    rows = [line(ODD, ensure_ascii=False), b"", b" \t", line("second"), line(ODD)]
    path.write_bytes(start + end.join(rows))
    assert list(reader(path)) == [ODD, "second", ODD]


@pytest.mark.parametrize("name", ["calibration", "bench", "guard"])
def test_packed_rows_are_the_same(tmp_path: Path, name: str) -> None:
    path = tmp_path / "rows.JSONL.gz"
    path.write_bytes(gzip.compress(BOM + line(ODD, ensure_ascii=False) + b"\n" + line("b")))
    assert list(READERS[name](path)) == [ODD, "b"]


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
@pytest.mark.parametrize("broken", ENCODINGS.values(), ids=ENCODINGS)
def test_other_encodings_are_refused_with_their_line(
    tmp_path: Path, reader: Callable[[Path], Iterator[Any]], broken: bytes
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(line("one") + b"\n\n" + broken)
    with pytest.raises(
        (UsageError, JobError), match=r"rows\.jsonl(:|, line | line )3.*UTF-8"
    ) as caught:
        list(reader(path))
    assert "iconv" in str(caught.value.hint)


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_utf16_is_refused_by_name(tmp_path: Path, reader: Callable[[Path], Iterator[Any]]) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(line("one").decode().encode("utf-16"))
    with pytest.raises((UsageError, JobError), match="is UTF-16"):
        list(reader(path))


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
@pytest.mark.parametrize("value", [b"NaN", b"1e999", b'"\\ud800"'])
def test_what_json_holds_beside_the_text_is_nobody_s_business(
    tmp_path: Path, reader: Callable[[Path], Iterator[Any]], value: bytes
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"score": ' + value + b', "text": "a", "label": 0}\n')
    assert list(reader(path)) == ["a"]
