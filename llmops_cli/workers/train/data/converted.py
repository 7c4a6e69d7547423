"""Packed files, lists of JSON, Parquet and Arrow become lines of JSON, once."""

import json
import shutil
from pathlib import Path

from _shared.data.kinds import JSONL, TEXT
from _shared.data.listed import listed_rows
from _shared.rows import OPENERS, UNPACKING_ERRORS, open_unpacked, unpacking_failed
from train.data.files import File

BLOCK_BYTES = 1 << 20


def is_plain(file: File) -> bool:
    """Whether its bytes are indexed where they lie."""
    is_packed = file.path.suffix.lower() in OPENERS
    return file.kind in {JSONL, TEXT} and not is_packed


def convert(file: File, target: Path) -> None:
    """Writes the rows of `file` to `target`, a line each; of a packed file, its bytes."""
    if file.kind in {JSONL, TEXT}:
        _unpack(file.path, target)
        return
    with target.open("w", encoding="utf-8", errors="surrogatepass") as written:
        for row in listed_rows(file.path, file.kind):
            line = json.dumps(row, ensure_ascii=True, default=str)
            written.write(line + "\n")


def _unpack(path: Path, target: Path) -> None:
    try:
        with open_unpacked(path) as packed, target.open("wb") as written:
            shutil.copyfileobj(packed, written, BLOCK_BYTES)
    except UNPACKING_ERRORS as error:
        raise unpacking_failed(path, error) from None
