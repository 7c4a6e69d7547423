"""The output: rows in the order of the input, merged from the journal and appearing whole."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from llmops_cli.core.calls import pasted
from llmops_cli.core.errors import UsageError
from llmops_cli.generate.asking import Asker
from llmops_cli.generate.journal import Journal
from llmops_cli.generate.rows import RowFile
from llmops_cli.runtime.chat import Unanswered
from llmops_cli.runtime.files import cannot_write

NOT_ASKED = Unanswered("not asked", "a limit of the run was reached before")
BUFFER_BYTES = 1 << 20
OTHER_FORMS = (".csv", ".tsv", ".parquet")
"""Ends of names that promise what answers are not written as."""


def journal_path(output: Path) -> Path:
    """Beside the output."""
    return output.with_name(f"{output.name}.journal")


def require_output(output: Path, source: Path, *, overwrite: bool) -> None:
    """Raises: UsageError for an output that is a folder, the input, finished, or no JSONL."""
    if output.suffix.lower() in OTHER_FORMS:
        lines = output.with_suffix(".jsonl")
        raise UsageError(
            f"answers are lines of JSON, not {output.suffix}", hint=f"-o {pasted(lines)}"
        )
    if output.is_dir():
        raise UsageError(f"{output} is a folder", hint="-o names a file, such as OUT.jsonl")
    if output.exists() and not output.is_file():
        raise UsageError(f"{output} is no file", hint="-o names a file, such as OUT.jsonl")
    if output.exists() and output.resolve() == source.resolve():
        raise UsageError(f"{output} is the input", hint="-o names another file")
    if output.exists() and not overwrite and not journal_path(output).exists():
        raise UsageError(f"{output} is there already", hint="choose another -o, or add --overwrite")


def write_output(output: Path, file: RowFile, journal: Journal, asker: Asker) -> None:
    """Every row's line; a link stays one. Raises: EnvironmentMissing for a full disk."""
    whole = output.resolve()
    temporary = whole.with_name(f".{whole.name}.{os.getpid()}.tmp")
    try:
        whole.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb", buffering=BUFFER_BYTES) as target:
            for line in _ordered(file, journal, asker):
                target.write(line + b"\n")
            target.flush()
            os.fsync(target.fileno())
        temporary.replace(whole)
    except OSError as error:
        raise cannot_write(output, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _ordered(file: RowFile, journal: Journal, asker: Asker) -> Iterator[bytes]:
    """The journal's lines, and of rows that nobody asked why not."""
    if journal.is_whole:
        for number in range(journal.rows):
            yield journal.line(number) or b""
        return
    for raw in file:
        line = journal.line(raw.number)
        if line is None:
            line = asker.failed(file.read(raw), NOT_ASKED).line
        yield line
