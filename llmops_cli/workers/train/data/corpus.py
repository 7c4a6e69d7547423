"""The files of a run as one numbered list of samples, read and tokenized when they are used."""

import os
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import numpy as np

from _shared.data.forms import Document, RowForm, Text, document_of, form_of
from _shared.data.kinds import JSONL, TEXT
from _shared.data.plain import DOCUMENT_END
from _shared.data.row_error import RowError
from _shared.protocol import JobError
from _shared.rows import ONE_OBJECT, AnyRow, NotJsonError, json_of
from train.data.encoder import Encoder, NumberedDocument
from train.data.index import BEGINS, changed, mapped, read_facts, split_rows
from train.data.order import Place
from train.data.sample import TrainingSample

COUNTING_BYTES = 1 << 20


class SplitSide(NamedTuple):
    """Training or validation rows of an index that holds both."""

    share: float = 0.0
    is_validation: bool = False


class RowFile:
    """One file's rows on one side. `first`: the number of its first row among all samples."""

    def __init__(
        self,
        folder: Path,
        side: SplitSide,
        *,
        first: int,
    ) -> None:
        self.facts = read_facts(folder)
        self.first = first
        self._begins = mapped(folder / BEGINS, np.int64)
        self._chosen = split_rows(folder, side.share, is_validation=side.is_validation)
        self.size = self.facts.samples if self._chosen is None else len(self._chosen)
        self._descriptor = os.open(self.facts.rows.path, os.O_RDONLY)
        self._form: RowForm | None = None

    @property
    def size_bytes(self) -> int:
        """About how long the rows of this side are together."""
        return self.facts.rows.size_bytes * self.size // self.facts.samples

    def check(self) -> None:
        """Raises: JobError if somebody has written to it."""
        error = changed(self.facts.rows)
        if error is not None:
            raise error

    def document(self, index: int) -> NumberedDocument:
        """Raises: RowError for what cannot be trained on; JobError for what cannot be read."""
        row = self.row_number(index)
        return NumberedDocument(self.first + row, self._read(row))

    def refusal(self, index: int, error: RowError) -> JobError:
        """What is wrong with a row, with its file and line."""
        where = self.place(self.row_number(index))
        return JobError("UsageError", f"{where}: {error.message}", error.hint)

    def row_number(self, index: int) -> int:
        if self._chosen is None:
            return index
        return int(self._chosen[index])

    def place(self, row: int) -> str:
        """Where a row is, in the words of an editor; lines are counted only now."""
        name = self.facts.source.path
        if self.facts.kind == TEXT:
            return f"{name}, from byte {int(self._begins[row])}"
        if self.facts.kind != JSONL:
            return f"{name}, row {row + 1}"
        return f"{name}:{self._line(row)}"

    def _line(self, row: int) -> int:
        left = int(self._begins[row])
        line = 1
        offset = 0
        while left:
            block = os.pread(self._descriptor, min(left, COUNTING_BYTES), offset)
            if not block:
                break
            line += block.count(b"\n")
            offset += len(block)
            left -= len(block)
        return line

    def _read(self, row: int) -> Document:
        raw = self.raw(row)
        if self.facts.kind == TEXT:
            return _text_of(raw, is_last=row == self.facts.samples - 1)
        if self._form is None:
            self._form = self._form_of_first()
        return document_of(_row_of(raw), self._form)

    def raw(self, row: int) -> bytes:
        begin = int(self._begins[row])
        size = int(self._begins[row + 1]) - begin
        return os.pread(self._descriptor, size, begin)

    def _form_of_first(self) -> RowForm:
        """All rows have the form of the file's first one, whichever side that is on."""
        try:
            return form_of(_row_of(self.raw(0)))
        except RowError as error:
            raise JobError("UsageError", f"{self.place(0)}: {error.message}", error.hint) from None


class Corpus:
    """Samples by place: data sets, each of one file or more."""

    def __init__(
        self,
        sets: Sequence[Sequence[RowFile]],
        encoder: Encoder,
        identity: str,
    ) -> None:
        self.identity = identity
        self.sizes = tuple(sum(file.size for file in files) for files in sets)
        self._sets = sets
        self._ends = [list(accumulate(file.size for file in files)) for files in sets]
        self._encoder = encoder

    def size_bytes(self, number: int) -> int:
        return sum(file.size_bytes for file in self._sets[number])

    def fetch(self, places: Sequence[Place]) -> list[TrainingSample]:
        """Raises: JobError with file and line of a row that cannot be trained on."""
        for files in self._sets:
            for file in files:
                file.check()
        found = [self._locate(place) for place in places]
        batch: list[NumberedDocument] = []
        try:
            for file, index in found:
                batch.append(file.document(index))
            return self._encoder.encode(batch)
        except RowError as error:
            is_read = len(batch) == len(found)
            file, index = found[error.index if is_read else len(batch)]
            raise file.refusal(index, error) from None

    def _locate(self, place: Place) -> tuple[RowFile, int]:
        ends = self._ends[place.file]
        number = bisect_right(ends, place.number)
        begin = ends[number - 1] if number else 0
        return self._sets[place.file][number], place.number - begin


def _row_of(raw: bytes) -> AnyRow:
    try:
        return json_of(raw)
    except NotJsonError as error:
        raise RowError(str(error), ONE_OBJECT) from None


def _text_of(raw: bytes, *, is_last: bool) -> Text:
    """A piece ends its document where that ends."""
    stripped = raw.rstrip(b"\r\n")
    if stripped.endswith(DOCUMENT_END):
        return Text(stripped.removesuffix(DOCUMENT_END).rstrip(b"\r\n").decode())
    return Text(raw.decode(), ends=is_last)
