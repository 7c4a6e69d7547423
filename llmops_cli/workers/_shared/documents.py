"""The documents of a text file: one whole text, or rows of texts and chats."""

import json
from collections.abc import Iterator
from pathlib import Path

from _shared.protocol import JobError
from _shared.rows import (
    OPENERS,
    UNPACKING_ERRORS,
    AnyRow,
    open_unpacked,
    rows_in,
    unpacking_failed,
)

DOCUMENT_SUFFIXES = (".jsonl", ".ndjson", ".json", ".parquet")
TEXT_FIELDS = ("text", "messages", "conversations", "prompt", "content")
SPEAKERS = {"human": "user", "gpt": "assistant"}
"""ShareGPT's names."""


def rows_of(path: Path) -> Iterator[AnyRow]:
    """Each document: a string, or a list of chat messages.

    Raises: JobError for a row with neither.
    """
    if _suffix(path) not in DOCUMENT_SUFFIXES:
        yield _unpacked(path).decode(errors="replace")
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
    suffix = _suffix(path)
    if suffix == ".parquet":
        import pyarrow.parquet as pq

        table = pq.read_table(path)
        yield from table.to_pylist()
        return
    if suffix == ".json":
        text = _unpacked(path).decode("utf-8-sig", errors="replace")
        if text.lstrip().startswith("["):
            yield from _members(text, path)
            return
    for _, row in rows_in(path):
        yield row


def _suffix(path: Path) -> str:
    """The kind of what may be packed."""
    if path.suffix.lower() in OPENERS:
        path = path.with_suffix("")
    return path.suffix.lower()


def _unpacked(path: Path) -> bytes:
    try:
        with open_unpacked(path) as file:
            return file.read()
    except UNPACKING_ERRORS as error:
        raise unpacking_failed(path, error) from None


def _members(text: str, path: Path) -> list[AnyRow]:
    try:
        members: list[AnyRow] = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise JobError("UsageError", f"{path} is no JSON: {error}") from None
    return members


def _document_of(row: AnyRow) -> AnyRow | None:
    """A text, a chat, or None for a row without one."""
    if isinstance(row, str):
        return row
    if not isinstance(row, dict):
        return None
    for field in TEXT_FIELDS:
        if field in row:
            found = row[field]
            break
    else:
        return None
    if isinstance(found, list):
        return [_message_of(turn) for turn in found]
    if isinstance(found, str):
        return found
    return None


def _message_of(turn: AnyRow) -> AnyRow:
    """A turn with OpenAI's field names."""
    if not isinstance(turn, dict) or "from" not in turn:
        return turn
    speaker = turn["from"]
    role = SPEAKERS.get(speaker, speaker)
    return {"role": role, "content": turn["value"]}
