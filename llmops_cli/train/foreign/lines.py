"""The leaves of a JSON or YAML text, each with its line. What was read, not what it means."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from llmops_cli.core.errors import UsageError
from llmops_cli.core.wrong_json import wrong_in
from llmops_cli.runtime.rows import read_text
from llmops_cli.runtime.yaml_text import UNREADABLE, fault_of

TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]:,]|[^\s{}\[\]:,"]+')
AUTO = "auto"


class Leaf(NamedTuple):
    """`path`: its keys from the top, joined by dots. A list is a leaf, and so is an empty map."""

    path: str
    value: object
    file: str
    line: int

    @property
    def origin(self) -> str:
        return f"{self.file}:{self.line}"


Leaves = dict[str, Leaf]


def text_of(place: Path, *, hint: str) -> str:
    """Raises: UsageError."""
    try:
        return read_text(place)
    except OSError as error:
        raise UsageError(f"{place} cannot be read: {error.strerror}", hint=hint) from error


def json_leaves(text: str, file: str) -> Leaves:
    """Raises: UsageError for what is no JSON object, or says a key twice."""
    try:
        loaded = json.loads(text, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        raise UsageError(f"{file}:{error.lineno}: no JSON: {error.msg}") from error
    except _Twice as twice:
        raise UsageError(f"{file} says '{twice}' twice in one place") from twice
    except (ValueError, RecursionError):
        raise UsageError(f"{file}: {wrong_in(text.encode(), dict)}") from None
    if not isinstance(loaded, dict):
        raise UsageError(f"{file} is no JSON object", hint='{"zero_optimization": {"stage": 2}}')
    return _flat(loaded, file, _json_lines(text))


class _Twice(ValueError):
    pass


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:  # Any: whatever the text holds
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise _Twice(key)
        found[key] = value
    return found


def _json_lines(text: str) -> dict[str, int]:
    """Path -> the line of its key, of a text that is JSON."""
    lines = {}
    stack: list[str] = []
    key = ""
    last = ""
    for match in TOKEN.finditer(text):
        token = match.group()
        if token == ":" and last.startswith('"'):
            key = json.loads(last)
            path = ".".join([*stack[1:], key])
            lines[path] = text.count("\n", 0, match.start()) + 1
        elif token in "{[":
            stack.append(key)
        elif token in "}]":
            key = stack.pop()
        last = token
    return lines


def yaml_leaves(text: str, file: str) -> Leaves:
    """Raises: UsageError for what is no YAML map of plain values."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        loaded = yaml.safe_load(text)
    except UNREADABLE as error:
        fault = fault_of(error)
        raise UsageError(f"{file}:{fault.line or 1}: no YAML: {fault.text}") from error
    if not isinstance(loaded, dict) or not isinstance(root, yaml.MappingNode):
        raise UsageError(f"{file} is no YAML map", hint="distributed_type: FSDP")
    return _flat(loaded, file, _yaml_lines(root, ""))


def _yaml_lines(node: yaml.MappingNode, prefix: str) -> dict[str, int]:
    lines = {}
    for key, value in node.value:
        path = f"{prefix}{key.value}"
        lines[path] = key.start_mark.line + 1
        if isinstance(value, yaml.MappingNode):
            lines |= _yaml_lines(value, f"{path}.")
    return lines


def _flat(
    loaded: dict[str, Any],
    file: str,
    lines: dict[str, int],
    prefix: str = "",
) -> Leaves:
    leaves: Leaves = {}
    for key, value in loaded.items():
        path = f"{prefix}{key}"
        if isinstance(value, dict) and value:
            leaves |= _flat(value, file, lines, f"{path}.")
        else:
            leaves[path] = Leaf(path, value, file, lines.get(path, 1))
    return leaves
