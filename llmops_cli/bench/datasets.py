"""Workload files of the field, normalized line by line into one form (bench.workload.PromptRow).

Prompts: text, JSONL, CSV, Parquet; ShareGPT conversations; traces of Mooncake, Azure and BurstGPT.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from llmops_cli.bench.workload import PromptRow
from llmops_cli.core.errors import EnvironmentMissing, UsageError

Json = dict[str, Any]  # Any: lines of files we did not write
PROMPT_KEYS = ("prompt", "text", "question", "instruction", "input", "query")
OUTPUT_KEYS = ("output_tokens", "max_tokens", "output_len", "output_length")
USERS = ("human", "user")
ASSISTANTS = ("gpt", "assistant", "chatgpt", "bing", "bard")


def normalize(path: Path, spool: Path, *, kind: str) -> int:
    """Writes the rows of a prompt file (`kind` file) or a trace (`kind` trace) to `spool`; how many
    there are.

    Raises: UsageError naming the line that cannot be read; EnvironmentMissing without a Parquet
    reader.
    """
    if not path.is_file():
        trace = kind == "trace"
        raise UsageError(
            f"no {'trace' if trace else 'dataset'} at {path}",
            hint="a Mooncake, Azure or BurstGPT file" if trace else "a file, or builtin",
        )
    rows = _trace(path) if kind == "trace" else _prompts(path)
    number = 0
    encode = msgspec.json.encode
    with spool.open("wb") as file:
        for row in rows:
            file.write(encode(row) + b"\n")
            number += 1
    if not number:
        raise UsageError(f"{path} holds no requests")
    return number


def _prompts(path: Path) -> Iterator[PromptRow]:
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        yield from (_row(line, f"{path} row {n}") for n, line in enumerate(_parquet(path), 1))
    elif suffix == ".csv":
        yield from (_row(dict(line), f"{path} row {n}") for n, line in enumerate(_csv(path), 1))
    elif suffix in (".jsonl", ".ndjson"):
        yield from _jsonl(path, _row)
    elif suffix == ".json":
        yield from (_row(line, f"{path} item {n}") for n, line in enumerate(_json_list(path), 1))
    else:
        with path.open(encoding="utf-8", errors="strict") as file:
            try:
                yield from (PromptRow(turns=[line.rstrip("\n")]) for line in file if line.strip())
            except UnicodeDecodeError as error:
                raise UsageError(
                    f"{path} is no UTF-8 text", hint="text, .jsonl, .csv, .json or .parquet"
                ) from error


def _row(line: Json, where: str) -> PromptRow:
    output = next((int(line[key]) for key in OUTPUT_KEYS if str(line.get(key) or "").isdigit()), 0)
    if isinstance(line.get("messages"), list):
        messages = line["messages"]
        if not messages or not all(isinstance(m, dict) and "role" in m for m in messages):
            raise UsageError(f"{where}: 'messages' must be a list of {{role, content}}")
        while (
            messages and messages[-1]["role"] == "assistant"
        ):  # a reference answer is not part of the request
            messages = messages[:-1]
        if not messages:
            raise UsageError(f"{where}: no user message")
        return PromptRow(messages=messages, output_tokens=output)
    talk = line.get("conversations", line.get("conversation"))
    if isinstance(talk, list):
        return _sharegpt(talk, where, output)
    for key in PROMPT_KEYS:
        if isinstance(line.get(key), str) and line[key]:
            return PromptRow(turns=[line[key]], output_tokens=output)
    raise UsageError(
        f"{where}: no prompt in it",
        hint=f"a field prompt, messages or conversations (or {', '.join(PROMPT_KEYS[1:])})",
    )


def _sharegpt(talk: list[Json], where: str, output: int) -> PromptRow:
    system: list[dict[str, object]] = []
    turns: list[str] = []
    for part in talk:
        speaker = str(part.get("from", part.get("role", ""))).lower()
        text = part.get("value", part.get("content"))
        if not isinstance(text, str):
            raise UsageError(
                f"{where}: a conversation part without text",
                hint="{'from': 'human', 'value': '...'}",
            )
        if speaker == "system":
            system.append({"role": "system", "content": text})
        elif speaker in USERS:
            turns.append(text)
        elif speaker not in ASSISTANTS:
            raise UsageError(f"{where}: unknown speaker '{speaker}'", hint="human, gpt or system")
    if not turns:
        raise UsageError(f"{where}: nobody asks anything")
    return PromptRow(messages=system, turns=turns, output_tokens=output)


def _trace(path: Path) -> Iterator[PromptRow]:
    """Rows with `at_s` from the first request on, in rising order as such traces are."""
    first: float | None = None
    for row in _trace_rows(path):
        if first is None:
            first = row.at_s
        row.at_s -= first
        if row.input_tokens < 1 or row.output_tokens < 1:
            raise UsageError(
                f"{path}: a request of {row.input_tokens} input and {row.output_tokens} output tokens"
            )
        if row.at_s < 0:
            raise UsageError(f"{path}: its times do not rise", hint="sort the trace by time")
        yield row


def _trace_rows(path: Path) -> Iterator[PromptRow]:
    if path.suffix.lower() in (".jsonl", ".ndjson", ".json"):
        yield from _jsonl(path, _mooncake)
        return
    for number, line in enumerate(_csv(path), 1):
        fields = {key.strip().lower(): (value or "").strip() for key, value in line.items() if key}
        try:
            if "contexttokens" in fields:  # Azure LLM inference traces
                yield PromptRow(
                    at_s=_seconds(fields["timestamp"]),
                    input_tokens=int(fields["contexttokens"]),
                    output_tokens=int(fields["generatedtokens"]),
                )
            elif "request tokens" in fields:  # BurstGPT
                output = int(float(fields["response tokens"]))
                if output > 0:  # it records failed requests with an empty answer
                    yield PromptRow(
                        at_s=float(fields["timestamp"]),
                        input_tokens=int(float(fields["request tokens"])),
                        output_tokens=output,
                    )
            else:
                raise UsageError(
                    f"{path} is no trace that we know",
                    hint="Mooncake JSONL, Azure CSV (TIMESTAMP,ContextTokens,GeneratedTokens) or BurstGPT CSV",
                )
        except (KeyError, ValueError) as error:
            raise UsageError(f"{path} row {number}: {error}") from error


def _mooncake(line: Json, where: str) -> PromptRow:
    try:
        return PromptRow(
            at_s=float(line["timestamp"]) / 1e3,
            input_tokens=int(line["input_length"]),
            output_tokens=int(line["output_length"]),
            hash_ids=[int(h) for h in line.get("hash_ids") or ()],
        )
    except (KeyError, TypeError, ValueError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise UsageError(
            f"{where}: {reason}", hint="timestamp (ms), input_length, output_length, hash_ids"
        ) from error


def _seconds(text: str) -> float:
    """A number, or a time stamp with up to seven fractional digits as Azure writes them."""
    try:
        return float(text)
    except ValueError:
        head, dot, fraction = text.rstrip("Z").partition(".")
        digits = fraction.split("+")[0]
        return datetime.fromisoformat(head).timestamp() + (
            float(f"0.{digits}") if dot and digits else 0.0
        )


def _jsonl(path: Path, make: Callable[[Json, str], PromptRow]) -> Iterator[PromptRow]:
    with path.open("rb") as file:
        for number, raw in enumerate(file, 1):
            if not raw.strip():
                continue
            where = f"{path} line {number}"
            try:
                line = msgspec.json.decode(raw)
            except msgspec.DecodeError as error:
                raise UsageError(f"{where}: {error}") from error
            if isinstance(line, str):
                line = {"prompt": line}
            if not isinstance(line, dict):
                raise UsageError(f"{where}: not an object")
            yield make(line, where)


def _json_list(path: Path) -> list[Json]:
    try:
        loaded = json.loads(path.read_bytes())
    except ValueError as error:
        raise UsageError(f"{path} is not JSON: {error}") from error
    if not isinstance(loaded, list) or not all(isinstance(line, dict) for line in loaded):
        raise UsageError(f"{path} is no list of conversations or prompts")
    return loaded


def _csv(path: Path) -> Iterator[dict[str, str]]:
    csv.field_size_limit(1 << 27)
    with path.open(encoding="utf-8-sig", newline="") as file:
        try:
            yield from csv.DictReader(file)
        except (csv.Error, UnicodeDecodeError) as error:
            raise UsageError(f"{path} is no CSV: {error}") from error


def _parquet(path: Path) -> Iterator[Json]:
    try:
        from pyarrow import ArrowInvalid
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise EnvironmentMissing(
            "Parquet needs pyarrow", hint="pip install 'llmops-cli[parquet]'"
        ) from None
    try:
        for batch in ParquetFile(path).iter_batches(batch_size=1024):
            yield from batch.to_pylist()
    except ArrowInvalid as error:
        raise UsageError(f"{path} is no Parquet file: {error}") from error
