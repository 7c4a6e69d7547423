"""The documents of a file: texts, or chats as OpenAI's messages, read as training reads them."""

from collections.abc import Iterator
from pathlib import Path

from _shared.data.forms import Document, PromptCompletion, Text, document_of, form_of
from _shared.data.kinds import JSONL, TEXT, kind_of
from _shared.data.listed import listed_rows
from _shared.data.plain import documents_in
from _shared.data.row_error import RowError
from _shared.protocol import JobError
from _shared.rows import AnyRow, rows_in

KNOWN_ROWS = "text, messages, conversations, prompt, or instruction with output"
ANSWERS = frozenset({"completion", "completions", "chosen", "rejected"})


def holds_rows(path: Path) -> bool:
    """Whether it is rows of documents, and no plain text."""
    return kind_of(path) != TEXT


def rows_of(path: Path) -> Iterator[AnyRow]:
    """Each document: a string, or a list of chat messages. Empty ones are left out.

    Raises: JobError naming the row that holds neither, or the line that cannot be read.
    """
    kind = kind_of(path)
    if kind == TEXT:
        yield from filter(None, documents_in(path))
        return
    for place, row in _placed_rows(path, kind):
        try:
            found = _words_of(row)
        except RowError as error:
            raise JobError("UsageError", f"{place}: {error.message}", error.hint) from None
        if found:
            yield found


def _placed_rows(path: Path, kind: str) -> Iterator[tuple[str, AnyRow]]:
    """Each row, and where it stands in the words of an editor."""
    if kind == JSONL:
        for number, row in rows_in(path):
            yield f"{path}:{number}", row
        return
    for number, row in enumerate(listed_rows(path, kind), 1):
        yield f"{path}, row {number}", row


def _words_of(row: AnyRow) -> AnyRow:
    document = _document_of(row)
    if isinstance(document, Text):
        return document.text
    if isinstance(document, PromptCompletion):
        return document.prompt + document.completion
    return document.messages


def _document_of(row: AnyRow) -> Document:
    """A prompt without an answer is a text here, though nothing could be learned of it."""
    try:
        form = form_of(row)
    except RowError as error:
        if isinstance(row, dict) and ANSWERS.isdisjoint(row) and isinstance(row.get("prompt"), str):
            return Text(row["prompt"])
        raise RowError(error.message, KNOWN_ROWS) from None
    return document_of(row, form)
