"""The documents of a text file: one whole text, or rows of texts and chats."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from _shared.protocol import JobError

DOCUMENT_SUFFIXES = (".jsonl", ".json", ".parquet")
TEXT_FIELDS = ("text", "messages", "conversations", "prompt", "content")
SPEAKERS = {"human": "user", "gpt": "assistant"}
"""ShareGPT's names."""

# A row is whatever JSON a data set holds.
AnyRow = Any


def rows_of(path: Path) -> Iterator[AnyRow]:
    """Each document: a string, or a list of chat messages.

    Raises: JobError for a row with neither.
    """
    if path.suffix not in DOCUMENT_SUFFIXES:
        yield path.read_text(encoding="utf-8", errors="replace")
        return
    rows = _raw_rows(path)
    for number, row in enumerate(rows, 1):
        document = _document_of(row)
        if document is None:
            raise JobError(
                "UsageError",
                f"{path}, row {number} has neither text nor messages",
                "one of text, messages, prompt",
            )
        if document:
            yield document


def _raw_rows(path: Path) -> Iterator[AnyRow]:
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        table = pq.read_table(path)
        yield from table.to_pylist()
        return
    text = path.read_text(encoding="utf-8")
    begins_list = text.lstrip().startswith("[")
    if path.suffix == ".json" and begins_list:
        yield from json.loads(text)
        return
    for line in text.splitlines():
        if line.strip():
            yield json.loads(line)


def _document_of(row: AnyRow) -> AnyRow | None:
    """A text, a chat, or None for a row without one."""
    if isinstance(row, str):
        return row
    for field in TEXT_FIELDS:
        if field in row:
            found = row[field]
            break
    else:
        return None
    if isinstance(found, list):
        return [_message_of(turn) for turn in found]
    return found


def _message_of(turn: AnyRow) -> AnyRow:
    """A turn with OpenAI's field names."""
    if "from" not in turn:
        return turn
    speaker = turn["from"]
    role = SPEAKERS.get(speaker, speaker)
    return {"role": role, "content": turn["value"]}
