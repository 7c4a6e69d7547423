"""Questions with their answers, in JSONL or CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from llmops_cli.core.errors import UsageError, nearest_name
from llmops_cli.prompt.techniques.technique import Example
from llmops_cli.runtime.near_path import near_path
from llmops_cli.runtime.rows import kind_of_name, rows_in, text_lines

FIELDS = ("question", "answer", "reasoning", "id")


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """A question. `answer` None: nobody knows whether what comes is right."""

    number: int
    question: str
    answer: str | None = None
    reasoning: str = ""
    id: str = ""


class _Row(NamedTuple):
    where: str
    values: Mapping[str, Any]  # Any: JSON


def read_cases(path: Path, *, flag: str, most: int | None = None) -> list[Case]:
    """In the file's order. Raises: UsageError with the line for a row that is none."""
    if not path.is_file():
        hint = near_path(path, "JSONL or CSV with question and answer")
        raise UsageError(f"{flag}: no file at {path}", hint=hint)
    cases: list[Case] = []
    for row in _rows(path):
        if most is not None and len(cases) >= most:
            break
        cases.append(_case(row, len(cases)))
    if not cases:
        raise UsageError(f"{flag}: {path} holds no questions")
    return cases


def read_examples(path: Path) -> list[Example]:
    """Raises: UsageError for one without an answer."""
    found = []
    for case in read_cases(path, flag="--examples"):
        if case.answer is None:
            raise UsageError(f"--examples: question {case.number + 1} of {path} has no answer")
        found.append(Example(question=case.question, answer=case.answer, reasoning=case.reasoning))
    return found


def _rows(path: Path) -> Iterator[_Row]:
    if kind_of_name(path) == ".csv":
        lines = text_lines(path)
        for number, row in enumerate(csv.DictReader(lines), 2):
            where = f"{path}, row {number}"
            if None in row:
                raise UsageError(f"{where}: more cells than the header has names")
            yield _Row(where, row)
        return
    for number, row in rows_in(path):
        where = f"{path}, line {number}"
        if not isinstance(row, dict):
            raise UsageError(f"{where}: no object", hint='{"question": "...", "answer": "..."}')
        yield _Row(where, row)


def _case(row: _Row, number: int) -> Case:
    """Raises: UsageError for a field that is unknown, missing or of another type."""
    for name in row.values:
        if name not in FIELDS:
            raise UsageError(
                f"{row.where}: unknown field '{name}'", hint=nearest_name(str(name), FIELDS)
            )
    question = _text(row, "question")
    if question is None:
        raise UsageError(f"{row.where}: it has no question")
    return Case(
        number=number,
        question=question,
        answer=_text(row, "answer"),
        reasoning=_text(row, "reasoning") or "",
        id=_text(row, "id") or "",
    )


def _text(row: _Row, name: str) -> str | None:
    value = row.values.get(name)
    if isinstance(value, bool) or not isinstance(value, str | int | float | None):
        raise UsageError(f"{row.where}: {name} is no text and no number")
    if value is None or not str(value).strip():
        return None
    return str(value)
