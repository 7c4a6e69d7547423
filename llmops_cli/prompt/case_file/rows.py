"""Cases in rows: promptfoo's CSV columns (`__expected`, ...), and a case a line in JSONL."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from llmops_cli.core.errors import UsageError
from llmops_cli.prompt.case_file.findings import Findings
from llmops_cli.prompt.case_file.lined import LinedDict, LinedList, Where, lined
from llmops_cli.prompt.checks.table import ELSEWHERE, known_kinds
from llmops_cli.prompt.checks.texts import comma_separated
from llmops_cli.runtime.rows import read_text

MARK = "__"
CODE_PREFIXES = {
    "javascript:": "javascript",
    "fn:": "javascript",
    "eval:": "javascript",
    "python:": "python",
}
RUBRIC_PREFIXES = ("grade:", "llm-rubric:")
LISTS = ("contains-all", "contains-any", "icontains-all", "icontains-any")
WITH_THRESHOLD = (
    "answer-relevance",
    "context-faithfulness",
    "context-recall",
    "context-relevance",
    "cost",
    "latency",
    "levenshtein",
    "perplexity",
    "perplexity-score",
    "rouge-n",
    "similar",
    "starts-with",
)
DEFAULT_THRESHOLD = 0.75
SIMILAR_THRESHOLD = 0.8
_WRITTEN = re.compile(
    r"(?P<name>[a-z][a-z0-9:-]*)(?:\((?P<limit>\d+(?:\.\d+)?)\))?(?::(?P<value>.*))?", re.DOTALL
)
_CONFIG = re.compile(r"__config:__expected(?P<number>\d*):(?P<key>\w+)")


def csv_cases(path: Path, findings: Findings) -> Iterator[tuple[Where, LinedDict]]:
    """Each row as the mapping that YAML would have. Raises: UsageError with its line."""
    text = _text(path).removeprefix("\ufeff")
    reader = csv.reader(
        io.StringIO(text), delimiter=_delimiter(text), strict=True, skipinitialspace=True
    )
    try:
        heads = [name.strip() for name in next(reader, [])]
        if not heads:
            raise UsageError(f"{path} is empty", hint="its first line names the columns")
        _require_different(heads, Where(path, 1))
        line = reader.line_num + 1
        for row in reader:
            if row:
                where = Where(path, line)
                yield where, _case(heads, row, where)
            line = reader.line_num + 1
    except csv.Error as error:
        raise UsageError(f"{path}:{reader.line_num}: {error}") from error


def jsonl_cases(path: Path) -> Iterator[tuple[Where, Any]]:  # Any: JSON
    """Each line's case. Raises: UsageError with its line."""
    for number, line in enumerate(_text(path).split("\n"), start=1):
        if line.strip():
            yield Where(path, number), lined(line, path, first_line=number)


def _delimiter(text: str) -> str:
    """A comma, or what stands between the heads of a file that has none: spreadsheets differ."""
    heads = text.partition("\n")[0]
    others = [sign for sign in ";\t" if sign in heads]
    return others[0] if others and "," not in heads else ","


def _require_different(heads: list[str], where: Where) -> None:
    """Raises: UsageError for a column whose other half would be lost."""
    for name, count in Counter(heads).items():
        if name and count > 1:
            raise UsageError(
                f"{where}: column '{name}' stands there {count} times",
                hint="__expected1, __expected2 for several assertions",
            )


def _text(path: Path) -> str:
    try:
        return read_text(path)
    except (FileNotFoundError, IsADirectoryError):
        raise UsageError(
            f"no file {path}", hint="a file of cases: YAML, JSON, JSONL or CSV"
        ) from None


def _case(heads: list[str], row: list[str], where: Where) -> LinedDict:
    if len(row) > len(heads):
        raise UsageError(f"{where}: {len(row)} cells below {len(heads)} heads")
    cells = dict(zip(heads, row, strict=False))
    case = _mapping(where)
    checks: dict[str, LinedDict] = {}
    variables = _mapping(where)
    metadata = _mapping(where)
    options = _mapping(where)
    for name, text in cells.items():
        if name.startswith("__expected"):
            if text.strip():
                checks[name] = _check(text.strip(), where)
        elif name.startswith("__metadata:"):
            _add_metadata(metadata, name.removeprefix("__metadata:"), text)
        elif name in ("__prefix", "__suffix"):
            options[name.removeprefix(MARK)] = text
        elif name in ("__description", "__providerOutput"):
            if text:
                case[name.removeprefix(MARK)] = text
        elif name == "__threshold":
            case["threshold"] = _number(text, name, where)
        elif not name.startswith(MARK):
            variables[name] = text
        elif name != "__metric" and _CONFIG.fullmatch(name) is None:
            raise UsageError(f"{where}: unknown column '{name}'")
    _add_settings(checks, cells, where)
    case |= {"vars": variables, "assert": _list([*checks.values()], where)}
    case |= {"metadata": metadata, "options": options}
    return case


def _add_settings(
    checks: Mapping[str, LinedDict],
    cells: Mapping[str, str],
    where: Where,
) -> None:
    """The metric of all, and thresholds; `checks` are those of the row, by their columns."""
    for name, text in cells.items():
        if name == "__metric" and text:
            for check in checks.values():
                check["metric"] = text
        found = _CONFIG.fullmatch(name)
        if found is None or not text.strip():
            continue
        columns = _columns_of(found["number"])
        if found["key"] != "threshold" or not any(each in cells for each in columns):
            raise UsageError(f"{where}: column '{name}' fits no assertion")
        for each in columns:
            if each in checks:
                checks[each]["threshold"] = _number(text, name, where)


def _columns_of(number: str) -> tuple[str, ...]:
    """Names of the column with that number; the first one has it or not."""
    return ("__expected", "__expected1") if number in ("", "1") else (f"__expected{number}",)


def _check(text: str, where: Where) -> LinedDict:
    """`icontains: word`, `similar(0.8): ...`, `equals` without a type."""
    check = _mapping(where)
    for prefix, kind in CODE_PREFIXES.items():
        if text.startswith(prefix):
            return _with(check, type=kind, value=text.removeprefix(prefix).strip())
    if text.startswith("file://"):
        return _with(check, type="javascript", value=text)
    for prefix in RUBRIC_PREFIXES:
        if text.startswith(prefix):
            return _with(check, type="llm-rubric", value=text.removeprefix(prefix).strip())
    found = _WRITTEN.fullmatch(text)
    kind = found["name"].removeprefix("not-") if found else ""
    if found is None or (kind not in known_kinds() and kind not in ELSEWHERE):
        return _with(check, type="equals", value=text)
    value = found["value"]
    if value is not None:
        value = value.strip()
    _with(check, type=found["name"])
    if value:
        check["value"] = comma_separated(value) if kind in LISTS else value
    if kind in WITH_THRESHOLD:
        usual = SIMILAR_THRESHOLD if kind == "similar" else DEFAULT_THRESHOLD
        check["threshold"] = float(found["limit"]) if found["limit"] else usual
    return check


def _add_metadata(metadata: LinedDict, name: str, text: str) -> None:
    if not text.strip():
        return
    if name.endswith("[]"):
        parts = re.split(r"(?<!\\),", text)
        metadata[name[:-2]] = [part.strip().replace("\\,", ",") for part in parts]
    else:
        metadata[name] = text


def _number(text: str, name: str, where: Where) -> float | None:
    if not text.strip():
        return None
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"{where}: {name} is a number, not '{text}'") from None


def _mapping(where: Where) -> LinedDict:
    found = LinedDict()
    found.where = where
    found.key_lines = {}
    return found


def _with(check: LinedDict, **values: object) -> LinedDict:
    check.update(values)
    return check


def _list(items: list[LinedDict], where: Where) -> LinedList:
    found = LinedList(items)
    found.where = where
    found.item_lines = [where.line] * len(items)
    return found
