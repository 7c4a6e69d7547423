"""Rows of a JSON list, of Parquet and of Arrow, of which no more than some are held at once."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from _shared.data.forms import FORMS, MEDIA
from _shared.data.kinds import ARROW, JSON, PARQUET
from _shared.protocol import JobError
from _shared.rows import BOM, UNPACKING_ERRORS, AnyRow, open_unpacked, unpacking_failed

BLOCK_CHARACTERS = 1 << 20
BATCH_ROWS = 1000
ALSO_USED = ("tools", "input", "system", "history", "chat_template_kwargs", "functions")
NO_READER = "pip install pyarrow"


def listed_rows(path: Path, kind: str) -> Iterator[AnyRow]:
    """Raises: JobError naming the row that cannot be read."""
    readers = {JSON: _list_rows, PARQUET: _parquet_rows, ARROW: _arrow_rows}
    return readers[kind](path)


def _list_rows(path: Path) -> Iterator[AnyRow]:
    """The members of one list, of which no more than one is held."""
    decoder = json.JSONDecoder()
    number = 0
    text = ""
    try:
        with open_unpacked(path) as file:
            blocks = _decoded(file)
            text = _strip(next(blocks, ""), blocks).removeprefix("[")
            while True:
                text = _strip(text, blocks)
                if text.startswith("]"):
                    return
                row, text = _next_value(decoder, text, blocks)
                number += 1
                yield row
    except UNPACKING_ERRORS as error:
        raise unpacking_failed(path, error) from None
    except (ValueError, RecursionError) as error:
        message = f"{path}, row {number + 1}: no JSON: {error}"
        raise JobError("UsageError", message, "a list of objects") from None


def _strip(text: str, blocks: Iterator[str]) -> str:
    """Without what stands between members; reads on until something else is seen."""
    while True:
        text = text.lstrip(" \t\r\n,")
        if text:
            return text
        text = next(blocks, "")
        if not text:
            raise ValueError("the list does not end")


def _next_value(
    decoder: json.JSONDecoder,
    text: str,
    blocks: Iterator[str],
) -> tuple[AnyRow, str]:
    """Reads on until a value is whole; twice as much each time, so that a long one is no burden."""
    wanted = len(text)
    while True:
        try:
            row, end = decoder.raw_decode(text)
        except json.JSONDecodeError:
            end = len(text)
            row = None
        # A number could go on behind what has been read.
        if end < len(text):
            return row, text[end:]
        wanted *= 2
        more = _up_to(blocks, wanted - len(text))
        if not more:
            row, end = decoder.raw_decode(text)
            return row, text[end:]
        text += more


def _up_to(blocks: Iterator[str], count: int) -> str:
    parts: list[str] = []
    while sum(map(len, parts)) < max(1, count):
        block = next(blocks, "")
        if not block:
            break
        parts.append(block)
    return "".join(parts)


def _decoded(file: Any) -> Iterator[str]:
    import codecs

    decoder = codecs.getincrementaldecoder("utf-8")()
    is_first = True
    while block := file.read(BLOCK_CHARACTERS):
        if is_first:
            block = block.removeprefix(BOM)
            is_first = False
        text = decoder.decode(block)
        if text:
            yield text
    decoder.decode(b"", final=True)


def _parquet_rows(path: Path) -> Iterator[AnyRow]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise _no_reader(path) from None
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            columns = _used(file.schema_arrow.names)
            for batch in file.iter_batches(BATCH_ROWS, columns=columns):
                yield from map(_without_nulls, batch.to_pylist())
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise _unreadable(path, error) from None


def _arrow_rows(path: Path) -> Iterator[AnyRow]:
    """The stream that `datasets` writes, or a file of Arrow's own."""
    try:
        import pyarrow
    except ImportError:
        raise _no_reader(path) from None
    try:
        with pyarrow.memory_map(str(path)) as source:
            for batch in _arrow_batches(pyarrow, source):
                chosen = batch.select(_used(batch.schema.names))
                for begin in range(0, chosen.num_rows, BATCH_ROWS):
                    rows = chosen.slice(begin, BATCH_ROWS).to_pylist()
                    yield from map(_without_nulls, rows)
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise _unreadable(path, error) from None


def _arrow_batches(pyarrow: Any, source: Any) -> Iterator[Any]:
    if source.read(6) == b"ARROW1":
        source.seek(0)
        reader = pyarrow.ipc.open_file(source)
        for number in range(reader.num_record_batches):
            yield reader.get_batch(number)
        return
    source.seek(0)
    yield from pyarrow.ipc.open_stream(source)


def _used(columns: list[str]) -> list[str]:
    """Those that some form reads; all if none does, so that the refusal can name them."""
    known = {name for form in FORMS for name in form.fields}
    known.update(ALSO_USED, MEDIA)
    used = [name for name in columns if name in known]
    return used or columns


def _without_nulls(value: AnyRow) -> AnyRow:
    """Columns of objects hold null for each field that only others have."""
    if isinstance(value, dict):
        kept = {name: part for name, part in value.items() if part is not None}
        return {name: _without_nulls(part) for name, part in kept.items()}
    if isinstance(value, list):
        return [_without_nulls(part) for part in value]
    return value


def _no_reader(path: Path) -> JobError:
    return JobError("EnvironmentMissing", f"{path} needs pyarrow to be read", NO_READER)


def _unreadable(path: Path, error: Exception) -> JobError:
    if isinstance(error, OSError) and error.errno is not None:
        raise error
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return JobError("UsageError", f"{path} cannot be read: {reason}", "it may be cut short")
