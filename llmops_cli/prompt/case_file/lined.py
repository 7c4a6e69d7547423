"""YAML 1.2 (and so JSON) whose mappings and lists know the file and the lines they stand on.

YAML 1.1, which PyYAML reads, makes a truth value of `yes` and a number of `12:30`; in cases those
are words.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from llmops_cli.core.errors import UsageError
from llmops_cli.runtime.rows import read_text
from llmops_cli.runtime.yaml_text import UNREADABLE, fault_of

JSON_FILES = (".json", ".jsonl")
_UNLIKE_YAML = re.compile(r"[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
"""What a text of JSON may hold as it is, and YAML folds, takes for a line's end or refuses."""
MOST_SHOWN = 40
DEEPEST = 100
"""Steps of a file's nesting, so that an alias in itself ends."""


class Where(NamedTuple):
    """A line of a file."""

    path: Path
    line: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}"


class LinedDict(dict[str, Any]):  # Any: YAML
    """A mapping, and where it and its keys stand."""

    where: Where
    key_lines: dict[str, int]

    def where_is(self, key: str) -> Where:
        """The line of a key; of the mapping for one that is not there."""
        line = self.key_lines.get(key, self.where.line)
        return self.where._replace(line=line)


class LinedList(list[Any]):  # Any: YAML
    """A list, and where its items stand."""

    where: Where
    item_lines: list[int]

    def where_is(self, number: int) -> Where:
        """The line of an item."""
        return self.where._replace(line=self.item_lines[number])


def read_lined(path: Path) -> Any:  # Any: YAML
    """What a file says. Raises: UsageError for none, and for what is no YAML, with its line."""
    try:
        text = read_text(path)
    except (FileNotFoundError, IsADirectoryError):
        raise UsageError(
            f"no file {path}", hint="a file of cases: YAML, JSON, JSONL or CSV"
        ) from None
    return lined(text, path)


def lined(text: str, path: Path, *, first_line: int = 1) -> Any:  # Any: YAML
    """A text of that file. Raises: as `read_lined`."""
    if path.suffix in JSON_FILES:
        text = _as_yaml(text)
    try:
        node = yaml.compose(text, Loader=_Core)
    except UNREADABLE as error:
        fault = fault_of(error)
        line = first_line + (fault.line or 1) - 1
        raise UsageError(f"{path}:{line}: {fault.text}") from error
    if node is None:
        return None
    return _Built(path, first_line).of(node, DEEPEST)


def _as_yaml(text: str) -> str:
    """The same JSON without what YAML reads otherwise: tabs between its parts, some characters."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return text
    return _UNLIKE_YAML.sub(lambda found: f"\\u{ord(found[0]):04x}", text.replace("\t", " "))


class _Core(yaml.SafeLoader):
    """The resolvers of YAML 1.2's core schema instead of 1.1's."""


_Core.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    (
        "float",
        r"[-+]?(?:\.\d+|\d+(?:\.\d*)?)(?:[eE][-+]?\d+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+.0123456789",
    ),
    ("merge", r"<<", "<"),
):
    _Core.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), list(_first)
    )


class _Built:
    """Values of nodes of one file."""

    def __init__(self, path: Path, first_line: int) -> None:
        self._path = path
        self._first_line = first_line

    def of(self, node: yaml.Node, deeper: int) -> Any:  # Any: YAML
        if deeper == 0:
            raise UsageError(f"{self._where(node)}: nested too deeply")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, deeper)
        if isinstance(node, yaml.SequenceNode):
            return self._list(node, deeper)
        return self._scalar(node)

    def _mapping(self, node: yaml.MappingNode, deeper: int) -> LinedDict:
        found = LinedDict()
        found.where = self._where(node)
        found.key_lines = {}
        own: set[str] = set()
        for key, value in self._merged_first(node):
            if key is None:
                self._merge(found, self.of(value, deeper - 1))
                continue
            name = _joined(str(key.value))
            where = self._where(key)
            if name in own:
                raise UsageError(f"{where}: '{name}' stands there twice")
            own.add(name)
            found.pop(name, None)
            found[name] = self.of(value, deeper - 1)
            found.key_lines[name] = where.line
        return found

    def _merged_first(
        self, node: yaml.MappingNode
    ) -> Iterator[tuple[yaml.ScalarNode | None, yaml.Node]]:
        """What is merged (`<<`) lies below a mapping's own keys."""
        own = []
        for key, value in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                yield None, value
            else:
                own.append((key, value))
        yield from own

    def _merge(self, found: LinedDict, merged: object) -> None:
        parts = merged if isinstance(merged, LinedList) else [merged]
        for part in parts:
            if not isinstance(part, LinedDict):
                raise UsageError(f"{found.where}: '<<' takes a mapping")
            for name, value in part.items():
                if name not in found:
                    found[name] = value
                    found.key_lines[name] = part.key_lines[name]

    def _list(self, node: yaml.SequenceNode, deeper: int) -> LinedList:
        found = LinedList(self.of(item, deeper - 1) for item in node.value)
        found.where = self._where(node)
        found.item_lines = [self._where(item).line for item in node.value]
        return found

    def _scalar(self, node: yaml.Node) -> object:
        kind = node.tag.rpartition(":")[2]
        text = str(node.value)
        if kind == "bool":
            return text.lower() == "true"
        if kind == "null":
            return None
        try:
            if kind == "int":
                return _whole(text)
            if kind == "float":
                return _real(text)
        except ValueError as error:
            raise UsageError(f"{self._where(node)}: no number: {_shortened(text)}") from error
        return _joined(text)

    def _where(self, node: yaml.Node) -> Where:
        return Where(self._path, self._first_line + node.start_mark.line)


def _shortened(text: str) -> str:
    """The beginning, for an error."""
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."


def _joined(text: str) -> str:
    """JSON writes a character beyond the first plane as two halves, which YAML leaves apart."""
    if not any("\ud800" <= char <= "\udfff" for char in text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _real(text: str) -> float:
    """`.5`, `1e3`, and `.inf` as YAML writes it."""
    lowered = text.lower()
    if lowered.endswith(("inf", "nan")):
        lowered = lowered.replace(".", "")
    return float(lowered)


def _whole(text: str) -> int:
    for prefix, base in (("0o", 8), ("0x", 16)):
        if text.startswith(prefix):
            return int(text[2:], base)
    return int(text)


def plain(value: Any) -> Any:  # Any: YAML
    """Without the lines, for what knows dict and list alone."""
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [plain(each) for each in value]
    return value
