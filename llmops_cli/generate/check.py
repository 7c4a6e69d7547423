"""The first pass over a file: what it holds, and what of it cannot be asked, before the start."""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter
from pathlib import Path

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.core.progress import Progress
from llmops_cli.generate.asking import Asker
from llmops_cli.generate.row_keys import row_key
from llmops_cli.generate.rows import FORMS_HINT, BadRow, Fields, Form, RawRow, Row, RowFile
from llmops_cli.runtime.chat_request import TokenBound
from llmops_cli.runtime.near_path import near_path

NAMED = 5
"""Bad rows whose lines are told."""
ROWS_BETWEEN_UPDATES = 5000


class Contents(msgspec.Struct, frozen=True, kw_only=True):
    """What a file holds. Tokens are at most; `output_tokens` None where nothing limits an answer.

    `prompt_bytes`: of all that is sent. `least`: no row takes less at most. `keys`: of each row, by
    which saved runs are paired.
    """

    rows: int
    forms: dict[str, int]
    prompt_bytes: int
    output_tokens: int | None
    least: TokenBound
    digest: str
    keys: array[int]


def require_file(path: Path) -> None:
    """Raises: UsageError for none, or a folder."""
    if str(path) == "-":
        raise UsageError("rows are read twice, so not from a pipe", hint="name a file")
    if path.is_dir():
        raise UsageError(f"{path} is a folder", hint="name a file of rows")
    if not path.exists():
        hint = near_path(path, "llmops generate IN.jsonl -o OUT.jsonl")
        raise UsageError(f"no file {path}", hint=hint)


def check_rows(file: RowFile, asker: Asker, *, progress: Progress) -> Contents:
    """Raises: UsageError naming the lines that cannot be asked, a double custom_id, or no rows."""
    found = _FirstPass(file, asker)
    for raw in file:
        found.take(raw)
        if found.rows % ROWS_BETWEEN_UPDATES == 0:
            progress.update("checking rows", found.rows)
    found.require_good()
    return found.contents()


class _FirstPass:
    """Sums over rows, and 8 bytes for each row and for each custom_id."""

    def __init__(self, file: RowFile, asker: Asker) -> None:
        self._file = file
        self._asker = asker
        self._bad: list[str] = []
        self._bad_count = 0
        self._ids = array("Q")
        self._keys = array("Q")
        self._forms: Counter[Form] = Counter()
        self._prompt_bytes = 0
        self._output_tokens: int | None = 0
        self._least: TokenBound | None = None
        self._digest = hashlib.sha256()
        self.rows = 0

    def take(self, raw: RawRow) -> None:
        self.rows += 1
        try:
            row = self._file.read(raw)
            ask = self._asker.ask_of(row)
            self._require_same_form(row)
        except BadRow as bad:
            self._note(f"{self._file.where(raw)}: {bad.reason}")
            return
        except UsageError as error:
            self._note(error.message)
            return
        self._forms[row.form] += 1
        self._prompt_bytes += len(ask.body)
        self._least = _least(self._least, ask.bound)
        self._digest.update(_encoded(raw.value) + b"\n" + ask.body + b"\n")
        if self._output_tokens is not None:
            limit = ask.bound.output
            self._output_tokens = self._output_tokens + limit if limit else None
        self._keys.append(row_key(row))
        if row.form is Form.BATCH:
            self._ids.append(_short_digest(row.fields["custom_id"]))

    def require_good(self) -> None:
        """Raises: UsageError."""
        if not self.rows:
            raise UsageError(f"{self._file.path} holds no rows", hint=FORMS_HINT)
        self._note_double_ids()
        if self._bad:
            more = self._bad_count - len(self._bad)
            others = [f"and {more:,} more"] if more else []
            raise UsageError("; ".join([*self._bad, *others]), hint=FORMS_HINT)

    def contents(self) -> Contents:
        return Contents(
            rows=self.rows,
            forms={form.value: count for form, count in self._forms.items()},
            prompt_bytes=self._prompt_bytes,
            output_tokens=self._output_tokens,
            least=self._least or TokenBound(0, 0),
            digest=self._digest.hexdigest(),
            keys=self._keys,
        )

    def _require_same_form(self, row: Row) -> None:
        """Raises: BadRow for a batch row among others, whose answers have another form."""
        is_batch = row.form is Form.BATCH
        if self._forms and is_batch != (Form.BATCH in self._forms):
            raise BadRow("batch rows and others are mixed")

    def _note(self, text: str) -> None:
        self._bad_count += 1
        if len(self._bad) < NAMED:
            self._bad.append(text)

    def _note_double_ids(self) -> None:
        """Looks for them by digests, and only where two are equal in the file again."""
        if not self._ids:
            return
        import numpy as np

        digests, counts = np.unique(np.frombuffer(self._ids, dtype=np.uint64), return_counts=True)
        doubled = set(digests[counts > 1].tolist())
        if doubled:
            self._find_double_ids(doubled)

    def _find_double_ids(self, doubled: set[int]) -> None:
        first: dict[str, int] = {}
        for raw in self._file:
            custom_id = self._file.read(raw).fields["custom_id"]
            if _short_digest(custom_id) not in doubled:
                continue
            if custom_id in first:
                place = f"that of {first[custom_id]} again"
                self._note(f"{self._file.where(raw)}: custom_id '{custom_id}', {place}")
            else:
                first[custom_id] = raw.line


def _least(before: TokenBound | None, bound: TokenBound) -> TokenBound:
    if before is None:
        return bound
    return TokenBound(min(before.input, bound.input), min(before.output, bound.output))


def _encoded(value: bytes | Fields) -> bytes:
    return value if isinstance(value, bytes) else msgspec.json.encode(value)


def _short_digest(text: str) -> int:
    digest = hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=8)
    return int.from_bytes(digest.digest(), "big")
