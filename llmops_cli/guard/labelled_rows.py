"""Rows that people labelled, one JSON object a line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.core.misfit import misfit_of
from llmops_cli.runtime.near_path import near_path
from llmops_cli.runtime.rows import rows_in

Row = TypeVar("Row")


def labelled_rows(path: Path, kind: type[Row], *, form: str) -> Iterator[tuple[str, Row]]:
    """Each with its file and line, for messages. `form`: what a row looks like.

    Raises: UsageError for a file that cannot be read, naming the line that is none.
    """
    for number, raw in _raw_rows(path):
        where = f"{path}, line {number}"
        misfit = misfit_of(raw, kind)
        if misfit is not None:
            raise UsageError(f"{where}: {misfit.told}", hint=form)
        yield where, msgspec.convert(raw, kind)


def first_row(path: Path) -> Any:  # Any: whatever JSON it is
    """None of an empty file. Raises: UsageError as above."""
    for _, raw in _raw_rows(path):
        return raw
    return None


def _raw_rows(path: Path) -> Iterator[tuple[int, Any]]:  # Any: as above
    try:
        yield from rows_in(path)
    except OSError as error:
        hint = near_path(path) or None
        raise UsageError(f"no data at {path}: {error.strerror}", hint=hint) from None
