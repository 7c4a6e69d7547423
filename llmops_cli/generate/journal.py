"""What was answered so far: a line a row in the order of the answers, beside the output.

Only ever appended to, so a kill loses at most the line that it tore. Memory: 8 bytes a row.
"""

from __future__ import annotations

import os
from array import array
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.core.wrong_json import UNREADABLE
from llmops_cli.generate.asking import RowAnswer
from llmops_cli.runtime.files import cannot_write

FORM = "llmops.generate-journal/1"
GROWING = os.O_RDWR | os.O_APPEND | os.O_CREAT
OWNER_ONLY = 0o600
MISSING = -1
LINE_BYTES = 1 << 12
"""Enough for most lines; longer ones are read again."""


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """The first line. `key`: of all that decides the answers."""

    form: str
    key: str
    rows: int


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A row that is over. `line` is that of the output; `seconds`: with retries and waits."""

    number: int
    line: msgspec.Raw
    input_tokens: int = 0
    output_tokens: int = 0
    error: str = ""
    seconds: float | None = None


class AnsweringModel(msgspec.Struct, frozen=True, kw_only=True):
    """A line of its own, ahead of the rows that it answers. `model`: a digest of its files."""

    model: str


class Total(msgspec.Struct):
    """What the entries sum up to."""

    answered: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    errors: Counter[str] = msgspec.field(default_factory=Counter)

    @property
    def failed(self) -> int:
        return self.errors.total()

    def add(self, entry: Entry | RowAnswer, sign: int = 1) -> None:
        if entry.error:
            self.errors[entry.error] += sign
        else:
            self.answered += sign
        self.input_tokens += sign * entry.input_tokens
        self.output_tokens += sign * entry.output_tokens


class Line(msgspec.Struct, frozen=True):
    """The part of an entry that the output holds."""

    line: msgspec.Raw


_decode_head = msgspec.json.Decoder(Head).decode
_decode_model = msgspec.json.Decoder(AnsweringModel).decode
_decode_entry = msgspec.json.Decoder(Entry).decode
_decode_line = msgspec.json.Decoder(Line).decode
_encode = msgspec.json.Encoder().encode


class Journal:
    """The answers of a batch of so many rows. Use as a context.

    `forgets_errors`: rows that failed before count as not asked. Raises: UsageError for a file of
    other rows; EnvironmentMissing for one that cannot be written.
    """

    def __init__(
        self,
        path: Path,
        *,
        key: str,
        rows: int,
        forgets_errors: bool,
    ) -> None:
        self.path = path
        self._head = Head(form=FORM, key=key, rows=rows)
        self._forgets_errors = forgets_errors
        self._places = array("q", [MISSING]) * rows
        self._end = 0
        self.rows = rows
        self._model = ""
        self.before = Total()
        self.torn_lines = 0

    def __enter__(self) -> Self:
        try:
            self._file = os.open(self.path, GROWING, OWNER_ONLY)
            self._read()
        except OSError as error:
            raise cannot_write(self.path, error) from error
        return self

    def __exit__(self, *_: object) -> None:
        """One that holds no row is of no use to anybody."""
        os.close(self._file)
        if self._places.count(MISSING) == self.rows:
            self.path.unlink(missing_ok=True)

    @property
    def is_whole(self) -> bool:
        return MISSING not in self._places

    def has(self, number: int) -> bool:
        return self._places[number] != MISSING

    def require_model(self, digest: str) -> None:
        """Of an engine of ours; empty for a server that somebody else runs.

        Raises: UsageError where rows were answered by other files than these.
        """
        if not digest or digest == self._model:
            return
        if self._model and self.before.answered:
            raise UsageError(
                f"{self.path} holds answers of a model whose files are others now",
                hint=f"put them back, choose another -o, or remove {self.path} to begin anew",
            )
        self._model = digest
        self._write(_encode(AnsweringModel(model=digest)) + b"\n")

    def append(self, number: int, answer: RowAnswer, seconds: float | None = None) -> None:
        """One whole line, or none on a full disk. Raises: EnvironmentMissing."""
        entry = Entry(
            number=number,
            line=msgspec.Raw(answer.line),
            input_tokens=answer.input_tokens,
            output_tokens=answer.output_tokens,
            error=answer.error,
            seconds=seconds,
        )
        place = self._end
        self._write(_encode(entry) + b"\n")
        self._places[number] = place

    def line(self, number: int) -> bytes | None:
        """A row's line of the output, without its end."""
        place = self._places[number]
        if place == MISSING:
            return None
        return bytes(_decode_line(self._line_at(place)).line)

    def entry(self, number: int) -> Entry | None:
        """What is known of a row that is over."""
        place = self._places[number]
        return None if place == MISSING else _decode_entry(self._line_at(place))

    def _line_at(self, place: int) -> bytes:
        size_bytes = LINE_BYTES
        while True:
            raw = os.pread(self._file, size_bytes, place)
            end = raw.find(b"\n")
            if end >= 0:
                return raw[:end]
            if len(raw) < size_bytes:
                raise UsageError(
                    f"{self.path} was cut while it was written", hint="the same command goes on"
                )
            size_bytes *= 4

    def _read(self) -> None:
        """What earlier runs have left."""
        self._end = os.fstat(self._file).st_size
        lines = self._lines()
        first = next(lines, None)
        if first is None:
            os.ftruncate(self._file, 0)  # a kill may have torn the first line
            self._end = 0
            self._write(_encode(self._head) + b"\n")
            return
        self._require_same(first[1])
        for place, raw in lines:
            self._take(place, raw)

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        """Each with its place. One without an end is ended, so that the next one is its own."""
        place = 0
        with os.fdopen(os.dup(self._file), "rb") as file:
            file.seek(0)
            for raw in file:
                if raw.endswith(b"\n"):
                    yield place, raw
                    place += len(raw)
                elif place:
                    self.torn_lines += 1
                    self._write(b"\n")

    def _require_same(self, raw: bytes) -> None:
        try:
            head = _decode_head(raw)
        except UNREADABLE:
            raise UsageError(
                f"{self.path} is no journal of llmops generate", hint="choose another -o"
            ) from None
        if head != self._head:
            raise UsageError(
                f"{self.path} holds answers to other rows, or with other settings",
                hint=f"choose another -o, or remove {self.path} to begin anew",
            )

    def _take(self, place: int, raw: bytes) -> None:
        """The last line of a row counts."""
        try:
            entry = _decode_entry(raw)
        except UNREADABLE:
            self._take_model(raw)
            return
        number = entry.number
        if not 0 <= number < self.rows:
            self.torn_lines += 1
            return
        if self._places[number] != MISSING:
            self.before.add(_decode_entry(self._line_at(self._places[number])), -1)
            self._places[number] = MISSING
        if entry.error and self._forgets_errors:
            return
        self._places[number] = place
        self.before.add(entry)

    def _take_model(self, raw: bytes) -> None:
        try:
            self._model = _decode_model(raw).model
        except UNREADABLE:
            self.torn_lines += 1

    def _write(self, line: bytes) -> None:
        """A nearly full disk takes a part of a line without an error."""
        rest = memoryview(line)
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError as error:
            os.ftruncate(self._file, self._end)
            raise cannot_write(self.path, error) from error
        self._end += len(line)
