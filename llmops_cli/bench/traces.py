"""Traces of real traffic: Mooncake, Azure and BurstGPT."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from llmops_cli.bench.lines import Json, Row, csv_lines, jsonl_rows
from llmops_cli.bench.messages import request_of
from llmops_cli.bench.rows import PromptRow, SkippedRow
from llmops_cli.core.errors import UsageError
from llmops_cli.core.misfit import misfit_of
from llmops_cli.core.wanted import given_of
from llmops_cli.runtime.rows import kind_of_name

FIELDS = (
    "Mooncake has timestamp (ms), input_length, text_input or messages, output_length, hash_ids; "
    "Azure TIMESTAMP, ContextTokens, GeneratedTokens"
)
DECIMAL = re.compile(r"[+-]?[0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]+)?")
STAMP = re.compile(r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)(\.\d+)?\s*(Z|[+-]\d\d:?\d\d)?")
"""Date and time, a fraction of a second, a zone."""


def trace_rows(path: Path) -> Iterator[Row]:
    """Rows with `at_s` on the trace's own clock, in the order of the file."""
    if kind_of_name(path) in (".jsonl", ".ndjson", ".json"):
        yield from jsonl_rows(path, _mooncake)
        return
    lines = csv_lines(path)
    for number, line in enumerate(lines, 1):
        fields = {}
        for key, value in line.items():
            if key:
                name = key.strip().lower()
                fields[name] = (value or "").strip()
        where = f"{path} row {number}"
        yield _csv_row(path, fields, where)


def _with_tokens(row: PromptRow, where: str) -> Row:
    """A request of no tokens is one that failed, or a line of another kind."""
    if row.output_tokens < 0 or row.input_tokens < 0:
        raise UsageError(f"{where}: fewer than no tokens")
    if not row.output_tokens:
        return SkippedRow(where, "no output tokens")
    if not row.input_tokens and not row.turns and not row.messages:
        return SkippedRow(where, "no input tokens")
    return row


def _csv_row(path: Path, fields: dict[str, str], where: str) -> Row:
    if "contexttokens" in fields:
        return _with_tokens(_azure(fields, where), where)
    if "request tokens" in fields:
        return _with_tokens(_burstgpt(fields, where), where)
    raise UsageError(
        f"{path} is no trace that we know",
        hint=(
            "Mooncake JSONL, Azure CSV (TIMESTAMP,ContextTokens,GeneratedTokens) or BurstGPT CSV"
        ),
    )


def _azure(fields: dict[str, str], where: str) -> PromptRow:
    return PromptRow(
        at_s=_seconds(fields, "timestamp", where),
        input_tokens=int(_number(fields, "contexttokens", where)),
        output_tokens=int(_number(fields, "generatedtokens", where)),
    )


def _burstgpt(fields: dict[str, str], where: str) -> PromptRow:
    """A request that failed has an empty answer in the trace."""
    return PromptRow(
        at_s=_number(fields, "timestamp", where),
        input_tokens=int(_number(fields, "request tokens", where)),
        output_tokens=max(0, int(_number(fields, "response tokens", where))),
    )


def _mooncake(line: Json, where: str) -> Row:
    """Mooncake's own rows, and those of aiperf that carry their text or messages."""
    for name in ("delay", "turns"):
        if line.get(name):
            raise UsageError(
                f"{where}: '{name}' belongs to a session, and traces are replayed by their times",
                hint="give each request a timestamp",
            )
    text = line.get("text_input") or line.get("input_text")
    messages = line.get("messages")
    has_words = bool(text or messages)
    asked = request_of(messages, where) if isinstance(messages, list) else []
    input_tokens = 0.0 if has_words else _number(line, "input_length", where)
    output_tokens = 1.0
    if not has_words or "output_length" in line:
        output_tokens = _number(line, "output_length", where)
    row = PromptRow(
        at_s=_number(line, "timestamp", where) / 1e3,
        input_tokens=int(input_tokens),
        output_tokens=int(output_tokens),
        hash_ids=[] if has_words else _hash_ids(line.get("hash_ids") or [], where),
        turns=[str(text)] if text else [],
        messages=asked,
    )
    return _with_tokens(row, where)


def _hash_ids(names: object, where: str) -> list[int]:
    """Raises: UsageError for what is no list of whole numbers."""
    misfit = misfit_of(names, list[int], strict=False)
    if misfit is not None:
        told = misfit._replace(place=("hash_ids", *misfit.place)).told
        raise UsageError(f"{where}: {told}", hint=FIELDS)
    return msgspec.convert(names, list[int], strict=False)


def _number(fields: Mapping[str, object], name: str, where: str) -> float:
    """A finite one. Raises: UsageError naming the field."""
    if name not in fields:
        raise UsageError(f"{where}: {name} is missing", hint=FIELDS)
    value = fields[name]
    try:
        number = float(str(value))
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise UsageError(f"{where}: {name} must be a number, not {given_of(value)}", hint=FIELDS)
    return number


def _seconds(fields: Mapping[str, str], name: str, where: str) -> float:
    """A number, or a time stamp with up to seven fractional digits as Azure writes them.

    One that names no zone is UTC, on every machine.
    """
    text = fields.get(name, "")
    found = STAMP.fullmatch(text)
    if found is None and DECIMAL.fullmatch(text):
        return float(text)
    if found is None:
        raise UsageError(f"{where}: {given_of(text)} is no time", hint=FIELDS)
    head, fraction, zone = found.groups()
    try:
        moment = datetime.fromisoformat(head + (zone or "+00:00").replace("Z", "+00:00"))
    except ValueError:
        raise UsageError(f"{where}: {given_of(text)} is no time", hint=FIELDS) from None
    return moment.astimezone(UTC).timestamp() + float(f"0{fraction or '.0'}")
