"""Traces of real traffic: Mooncake, Azure and BurstGPT."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from llmops_cli.bench.lines import Json, Row, csv_lines, jsonl_rows
from llmops_cli.bench.messages import request_of
from llmops_cli.bench.rows import PromptRow, SkippedRow
from llmops_cli.core.errors import UsageError
from llmops_cli.runtime.rows import kind_of_name

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
        try:
            yield _csv_row(path, fields, where)
        except (KeyError, ValueError) as error:
            raise UsageError(f"{where}: {error}") from error


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
        return _with_tokens(_azure(fields), where)
    if "request tokens" in fields:
        return _with_tokens(_burstgpt(fields), where)
    raise UsageError(
        f"{path} is no trace that we know",
        hint=(
            "Mooncake JSONL, Azure CSV (TIMESTAMP,ContextTokens,GeneratedTokens) or BurstGPT CSV"
        ),
    )


def _azure(fields: dict[str, str]) -> PromptRow:
    return PromptRow(
        at_s=_seconds(fields["timestamp"]),
        input_tokens=int(fields["contexttokens"]),
        output_tokens=int(fields["generatedtokens"]),
    )


def _burstgpt(fields: dict[str, str]) -> PromptRow:
    """A request that failed has an empty answer in the trace."""
    return PromptRow(
        at_s=_finite(fields["timestamp"]),
        input_tokens=int(float(fields["request tokens"])),
        output_tokens=max(0, int(float(fields["response tokens"]))),
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
    try:
        names = line.get("hash_ids") or ()
        row = PromptRow(
            at_s=_finite(line["timestamp"]) / 1e3,
            input_tokens=0 if has_words else int(line["input_length"]),
            output_tokens=int(line.get("output_length", 1) if has_words else line["output_length"]),
            hash_ids=[] if has_words else [int(name) for name in names],
            turns=[str(text)] if text else [],
            messages=asked,
        )
    except (KeyError, TypeError, ValueError) as error:
        reason = str(error)
        if isinstance(error, KeyError):
            reason = f"no {error}"
        raise UsageError(
            f"{where}: {reason}",
            hint="timestamp (ms), input_length, text_input or messages, output_length, hash_ids",
        ) from error
    return _with_tokens(row, where)


def _finite(value: object) -> float:
    number = float(str(value))
    if not math.isfinite(number):
        message = f"{value} is no time"
        raise ValueError(message)
    return number


def _seconds(text: str) -> float:
    """A number, or a time stamp with up to seven fractional digits as Azure writes them.

    One that names no zone is UTC, on every machine.
    """
    try:
        return _finite(text)
    except ValueError:
        pass
    found = STAMP.fullmatch(text)
    if found is None:
        message = f"{text!r} is no time"
        raise ValueError(message)
    head, fraction, zone = found.groups()
    moment = datetime.fromisoformat(head + (zone or "+00:00").replace("Z", "+00:00"))
    return moment.astimezone(UTC).timestamp() + float(f"0{fraction or '.0'}")
