"""Traces of real traffic: Mooncake, Azure and BurstGPT."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from llmops_cli.bench.lines import Json, csv_lines, jsonl_rows
from llmops_cli.bench.rows import PromptRow
from llmops_cli.core.errors import UsageError


def trace_rows(path: Path) -> Iterator[PromptRow]:
    """Rows with `at_s` from the first request on, in rising order as such traces are."""
    first_s: float | None = None
    for row in _rows(path):
        if first_s is None:
            first_s = row.at_s
        row.at_s -= first_s
        if row.input_tokens < 1 or row.output_tokens < 1:
            lengths = f"{row.input_tokens} input and {row.output_tokens} output tokens"
            raise UsageError(f"{path}: a request of {lengths}")
        if row.at_s < 0:
            raise UsageError(f"{path}: its times do not rise", hint="sort the trace by time")
        yield row


def _rows(path: Path) -> Iterator[PromptRow]:
    suffix = path.suffix.lower()
    if suffix in (".jsonl", ".ndjson", ".json"):
        yield from jsonl_rows(path, _mooncake)
        return
    lines = csv_lines(path)
    for number, line in enumerate(lines, 1):
        fields = {}
        for key, value in line.items():
            if key:
                name = key.strip().lower()
                fields[name] = (value or "").strip()
        try:
            row = _csv_row(path, fields)
        except (KeyError, ValueError) as error:
            raise UsageError(f"{path} row {number}: {error}") from error
        if row is not None:
            yield row


def _csv_row(path: Path, fields: dict[str, str]) -> PromptRow | None:
    if "contexttokens" in fields:
        return _azure(fields)
    if "request tokens" in fields:
        return _burstgpt(fields)
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


def _burstgpt(fields: dict[str, str]) -> PromptRow | None:
    """None for a request that failed: the trace has it with an empty answer."""
    output_tokens = int(float(fields["response tokens"]))
    if output_tokens <= 0:
        return None
    return PromptRow(
        at_s=float(fields["timestamp"]),
        input_tokens=int(float(fields["request tokens"])),
        output_tokens=output_tokens,
    )


def _mooncake(line: Json, where: str) -> PromptRow:
    try:
        due_ms = float(line["timestamp"])
        names = line.get("hash_ids") or ()
        return PromptRow(
            at_s=due_ms / 1e3,
            input_tokens=int(line["input_length"]),
            output_tokens=int(line["output_length"]),
            hash_ids=[int(name) for name in names],
        )
    except (KeyError, TypeError, ValueError) as error:
        reason = str(error)
        if isinstance(error, KeyError):
            reason = f"no {error}"
        raise UsageError(
            f"{where}: {reason}", hint="timestamp (ms), input_length, output_length, hash_ids"
        ) from error


def _seconds(text: str) -> float:
    """A number, or a time stamp with up to seven fractional digits as Azure writes them."""
    try:
        return float(text)
    except ValueError:
        plain = text.rstrip("Z")
        head, dot, fraction = plain.partition(".")
    seconds = datetime.fromisoformat(head).timestamp()
    digits = fraction.split("+")[0]
    if dot and digits:
        seconds += float(f"0.{digits}")
    return seconds
