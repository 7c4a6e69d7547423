"""What a file of rows holds: batch requests, chats or prompts, a row at a time."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from llmops_cli.core.errors import EnvironmentMissing, UsageError
from llmops_cli.runtime.rows import decoded, json_of, kind_of_name, lines_in

PARQUET = ".parquet"
TEXT = ".txt"
ROWS_AT_ONCE = 256
PROMPT_FIELDS = ("prompt", "text")
ASKING_FIELDS = ("messages", "body")
"""Of a row of Parquet: what is sent."""
FORMS_HINT = 'rows like {"prompt": "..."}, {"messages": [...]} or an OpenAI batch file'

Fields = dict[str, Any]  # Any: whatever JSON a row holds


class Form(StrEnum):
    """What a row is."""

    BATCH = "batch"
    CHAT = "chat"
    PROMPT = "prompt"


class RawRow(NamedTuple):
    """A row that nobody has looked into. `number` counts from 0, `line` as a user counts."""

    number: int
    line: int
    value: bytes | Fields


class Row(NamedTuple):
    """What a row asks for; `fields` are all that it has. `number`: its place, from 0."""

    form: Form
    fields: Fields
    number: int = 0


class BadRow(Exception):
    """A row that cannot be asked, and why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class RowFile:
    """A file of rows, read from its beginning each time, never all at once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._kind = kind_of_name(path)

    def __iter__(self) -> Iterator[RawRow]:
        """Raises: UsageError for a file that cannot be read; EnvironmentMissing without pyarrow."""
        if self._kind == PARQUET:
            for number, fields in enumerate(_parquet_rows(self.path)):
                yield RawRow(number, number + 1, fields)
            return
        for number, (line, raw) in enumerate(lines_in(self.path)):
            yield RawRow(number, line, raw)

    def where(self, raw: RawRow) -> str:
        """For people."""
        word = "row" if self._kind == PARQUET else "line"
        return f"{self.path}, {word} {raw.line}"

    def read(self, raw: RawRow) -> Row:
        """Raises: UsageError that names the line; BadRow without its place."""
        return self._row(raw)._replace(number=raw.number)

    def _row(self, raw: RawRow) -> Row:
        value = raw.value
        if isinstance(value, dict):
            return row_of(value)
        if self._kind == TEXT:
            return Row(Form.PROMPT, {"prompt": decoded(value, self.where(raw))})
        return row_of(json_of(value, self.where(raw)))


def row_of(value: Any) -> Row:  # Any: JSON
    """By its fields. Raises: BadRow."""
    if isinstance(value, str):
        return Row(Form.PROMPT, {"prompt": value})
    if not isinstance(value, dict):
        raise BadRow("neither an object nor a text")
    if "custom_id" in value or "body" in value:
        _require_batch(value)
        return Row(Form.BATCH, value)
    if "messages" in value:
        _require_messages(value["messages"])
        return Row(Form.CHAT, value)
    for name in PROMPT_FIELDS:
        if isinstance(value.get(name), str):
            return Row(Form.PROMPT, value)
    raise BadRow("no messages, prompt or text")


def prompt_of(fields: Fields) -> str:
    """What a row with a prompt asks."""
    for name in PROMPT_FIELDS:
        if isinstance(fields.get(name), str):
            return str(fields[name])
    raise BadRow("no prompt or text")


def _require_batch(fields: Fields) -> None:
    custom_id = fields.get("custom_id")
    if not isinstance(custom_id, str) or not custom_id:
        raise BadRow("no custom_id")
    if fields.get("method", "POST") != "POST":
        raise BadRow(f"method {fields['method']}; batches have POST")
    url = fields.get("url")
    if not isinstance(url, str) or not url.startswith("/v1/"):
        raise BadRow(f"url {url!r}; a batch has a path such as /v1/chat/completions")
    body = fields.get("body")
    if not isinstance(body, dict):
        raise BadRow("no body")
    if body.get("stream"):
        raise BadRow("its body asks for a stream")
    if url == "/v1/chat/completions":
        _require_messages(body.get("messages"))


def _require_messages(messages: Any) -> None:  # Any: JSON
    if not isinstance(messages, list) or not messages:
        raise BadRow("no messages")
    for each in messages:
        if not isinstance(each, dict) or not isinstance(each.get("role"), str):
            raise BadRow("a message without a role")


def _without_gaps(fields: Fields) -> Fields:
    """A column of Parquet has in each row every field that any row has; a request has its own."""
    asking = {name: _filled(fields[name]) for name in ASKING_FIELDS if name in fields}
    return {**fields, **asking}


def _filled(value: Any) -> Any:  # Any: JSON
    """Without fields that say nothing; a message without text has its `content` all the same."""
    if isinstance(value, list):
        return [_filled(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        name: _filled(each)
        for name, each in value.items()
        if each is not None or (name == "content" and "role" in value)
    }


def _parquet_rows(path: Path) -> Iterator[Fields]:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise EnvironmentMissing(
            "Parquet needs pyarrow", hint="pip install 'llmops-cli[parquet]'"
        ) from None
    try:
        with ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=ROWS_AT_ONCE):
                yield from map(_without_gaps, batch.to_pylist())
    except ArrowException as error:
        raise UsageError(f"{path} is no Parquet file", hint="it may be cut short") from error
