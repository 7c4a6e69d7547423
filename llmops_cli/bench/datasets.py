"""Workload files of the field, normalized line by line into one form (bench.rows.PromptRow).

Prompts: text, JSONL, CSV, Parquet and ShareGPT conversations. Traces: bench.traces.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from llmops_cli.bench.lines import Json, Row, csv_lines, json_list, jsonl_rows, parquet_lines
from llmops_cli.bench.messages import request_of
from llmops_cli.bench.normalized import Normalized, Spooled
from llmops_cli.bench.rows import PromptRow, SkippedRow
from llmops_cli.bench.traces import trace_rows
from llmops_cli.core.errors import UsageError
from llmops_cli.runtime.near_path import near_path
from llmops_cli.runtime.rows import kind_of_name, text_lines

PROMPT_KEYS = (
    "prompt",
    "text",
    "question",
    "instruction",
    "input",
    "query",
    "text_input",
    "input_text",
)
OUTPUT_KEYS = (
    "output_tokens",
    "max_tokens",
    "max_completion_tokens",
    "output_len",
    "output_length",
)
SETTLED = frozenset(
    {
        "messages",
        "prompt",
        "model",
        "stream",
        "stream_options",
        "max_tokens",
        "max_completion_tokens",
        "n",
    }
)
"""Fields of a batch row that the load test decides: an answer is one choice."""
TEXT_ENDINGS = ("", ".txt", ".text")
"""A pipe has no ending. Lines of other files (pages, code, logs) are hardly meant as prompts."""
MARKUP = ("<!doctype", "<html", "<?xml", "<svg")
USERS = ("human", "user")
ASSISTANTS = ("gpt", "assistant", "chatgpt", "bing", "bard")


def normalize(
    path: Path,
    spool: Path,
    *,
    kind: str,
) -> Normalized:
    """Writes the rows of a prompt file (`kind` file) or a trace (`kind` trace) to `spool`.

    A trace's rows stand there by their times.

    Raises: UsageError naming the line that cannot be read; EnvironmentMissing without a Parquet
    reader.
    """
    require_file(path, kind=kind)
    read = prompt_rows
    if kind == "trace":
        read = trace_rows
    spooled = Spooled(spool)
    with spooled:
        for row in read(path):
            spooled.add(row)
    if not spooled.count:
        raise UsageError(f"{path} holds no requests", hint=spooled.why_none())
    return spooled.normalized(path.name)


def require_file(path: Path, *, kind: str) -> None:
    """Raises: UsageError; `kind` as of `normalize`."""
    if not path.is_file():
        raise _absent(path, kind)


def _absent(path: Path, kind: str) -> UsageError:
    if kind == "trace":
        hint = near_path(path, "a Mooncake, Azure or BurstGPT file")
        return UsageError(f"no trace at {path}", hint=hint)
    return UsageError(f"no dataset at {path}", hint=near_path(path, "a file, or builtin"))


def prompt_rows(path: Path) -> Iterator[Row]:
    """The rows of a prompt file, by the ending of its name."""
    suffix = kind_of_name(path)
    if suffix == ".parquet":
        lines = parquet_lines(path)
        return _numbered(lines, f"{path} row")
    if suffix == ".csv":
        rows = csv_lines(path)
        return _numbered(map(dict, rows), f"{path} row")
    if suffix in (".jsonl", ".ndjson"):
        return jsonl_rows(path, _row)
    if suffix == ".json":
        items = json_list(path)
        return _numbered(items, f"{path} item")
    if suffix not in TEXT_ENDINGS:
        raise UsageError(
            f"{path.name} is no dataset: '{suffix}' files are not read",
            hint="text (.txt, a prompt each line), .jsonl, .csv, .json or .parquet",
        )
    return _text_rows(path)


def _numbered(lines: Iterable[Json], where: str) -> Iterator[Row]:
    for number, line in enumerate(lines, 1):
        yield _row(line, f"{where} {number}")


def _text_rows(path: Path) -> Iterator[Row]:
    """A prompt each line."""
    is_first = True
    for line in text_lines(path):
        if not line.strip():
            continue
        if is_first and line.lstrip().lower().startswith(MARKUP):
            raise _is_markup(path)
        is_first = False
        yield PromptRow(turns=[line.rstrip("\r\n")])


def _is_markup(path: Path) -> UsageError:
    return UsageError(
        f"{path.name} is a page or XML, and its lines are no prompts",
        hint="a text file with a prompt each line, .jsonl, .csv, .json or .parquet",
    )


def _row(line: Json, where: str) -> Row:
    body = line.get("body")
    if isinstance(body, dict):
        return _batch_request(body, where)
    output_tokens = _output_tokens(line)
    messages = line.get("messages")
    if isinstance(messages, list):
        request = request_of(messages, where)
        return PromptRow(messages=request, output_tokens=output_tokens)
    talk = line.get("conversations", line.get("conversation"))
    if isinstance(talk, list):
        return _sharegpt(talk, where, output_tokens)
    for key in PROMPT_KEYS:
        text = line.get(key)
        if isinstance(text, str) and text:
            return PromptRow(turns=[text], output_tokens=output_tokens)
    others = ", ".join(PROMPT_KEYS[1:])
    raise UsageError(
        f"{where}: no prompt in it",
        hint=f"a field prompt, messages or conversations (or {others})",
    )


def _batch_request(body: Json, where: str) -> Row:
    """A row of OpenAI's batch files: a request with all its fields, its tools among them."""
    fields = {}
    for name, value in body.items():
        if name not in SETTLED and value is not None:
            fields[name] = msgspec.Raw(msgspec.json.encode(value))
    output_tokens = _output_tokens(body)
    messages = body.get("messages")
    if isinstance(messages, list):
        request = request_of(messages, where)
        return PromptRow(messages=request, output_tokens=output_tokens, fields=fields)
    prompt = body.get("prompt")
    if isinstance(prompt, str) and prompt:
        return PromptRow(turns=[prompt], output_tokens=output_tokens, fields=fields)
    raise UsageError(f"{where}: a request without messages or a prompt")


def _output_tokens(line: Json) -> int:
    """The wanted length; 0 where the line has none."""
    for key in OUTPUT_KEYS:
        text = str(line.get(key) or "")
        if text.isdigit():
            return int(text)
    return 0


def _sharegpt(
    talk: list[Json],
    where: str,
    output_tokens: int,
) -> Row:
    system: list[dict[str, object]] = []
    turns: list[str] = []
    for part in talk:
        role = part.get("from", part.get("role", ""))
        speaker = str(role).lower()
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
        return SkippedRow(where, "nobody asks anything")
    return PromptRow(messages=system, turns=turns, output_tokens=output_tokens)
