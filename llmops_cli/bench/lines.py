"""Files line by line, with the place of each line in its errors."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from llmops_cli.bench.rows import PromptRow, SkippedRow
from llmops_cli.core.errors import EnvironmentMissing, UsageError
from llmops_cli.core.wrong_json import wrong_in
from llmops_cli.runtime.rows import read_text, rows_in, text_lines

Json = dict[str, Any]  # Any: lines of files we did not write


Row = PromptRow | SkippedRow


def jsonl_rows(path: Path, make: Callable[[Json, str], Row]) -> Iterator[Row]:
    for number, line in rows_in(path):
        where = f"{path}, line {number}"
        if isinstance(line, str):
            line = {"prompt": line}
        if not isinstance(line, dict):
            raise UsageError(f"{where}: not an object")
        yield make(line, where)


def json_list(path: Path) -> list[Json]:
    text = read_text(path)
    try:
        loaded = json.loads(text)
    except (ValueError, RecursionError):
        raise UsageError(f"{path}: {wrong_in(text.encode(), list[Json])}") from None
    if not isinstance(loaded, list) or not all(map(_is_object, loaded)):
        raise UsageError(f"{path} is no list of conversations or prompts")
    return loaded


def _is_object(item: object) -> bool:
    return isinstance(item, dict)


def csv_lines(path: Path) -> Iterator[dict[str, str]]:
    csv.field_size_limit(1 << 27)
    try:
        yield from csv.DictReader(text_lines(path))
    except csv.Error as error:
        raise UsageError(f"{path} is no CSV: {error}") from error


def parquet_lines(path: Path) -> Iterator[Json]:
    try:
        from pyarrow import ArrowInvalid
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise EnvironmentMissing(
            "Parquet needs pyarrow", hint="pip install 'llmops-cli[parquet]'"
        ) from None
    try:
        file = ParquetFile(path)
        for batch in file.iter_batches(batch_size=1024):
            yield from batch.to_pylist()
    except ArrowInvalid as error:
        raise UsageError(f"{path} is no Parquet file", hint="it may be cut short") from error
