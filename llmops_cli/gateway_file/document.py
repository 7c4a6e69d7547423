"""A YAML document that remembers on which line each of its values stands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from llmops_cli.core.errors import UsageError
from llmops_cli.gateway_file.mistake import Mistake, Place
from llmops_cli.runtime.rows import read_text
from llmops_cli.runtime.yaml_text import UNREADABLE, fault_of, refuse_endless

READ_OTHERWISE = frozenset(
    f"tag:yaml.org,2002:{kind}" for kind in ("bool", "int", "float", "null", "timestamp")
)
"""What YAML makes of a word without quotes."""
VARIABLE = re.compile(r"\$\{[^{}\n]*\}")
HIDE_BRACES = str.maketrans("{}", "\ue000\ue001")
SHOW_BRACES = str.maketrans("\ue000\ue001", "{}")
SECRET_CHARS = 4
"""Shorter values of variables are no secrets in what is said of another place."""


class Taken(NamedTuple):
    """A text with variables: as it is written, and with their values."""

    written: str
    value: str


class Document(NamedTuple):
    """`values` is what the document says, `root` how it is written.

    `taken`: the texts whose variables have been replaced, by their place.
    """

    path: Path
    values: dict[str, Any]  # Any: YAML
    root: yaml.Node
    taken: dict[Place, Taken]

    def line(self, place: Place) -> int:
        """Of the last step that the document has."""
        node = self.root
        line = node.start_mark.line
        for step in place:
            found = _step_into(node, step)
            if found is None:
                break
            line, node = found
        return int(line) + 1

    def written(self, place: Place) -> str | None:
        """A scalar as it stands there, whatever YAML reads in it."""
        node = self.root
        for step in place:
            found = _step_into(node, step)
            if found is None:
                return None
            node = found.node
        return node.value if isinstance(node, yaml.ScalarNode) else None

    def error(self, mistake: Mistake) -> UsageError:
        """To be raised."""
        mistake = self._hidden(mistake)
        line = self.line(mistake.place)
        at = f"{self.path}:{line}"
        if mistake.place:
            steps = [str(step) for step in mistake.place]
            dotted = ".".join(steps)
            at = f"{at}: {dotted}"
        hint = None if mistake.hint is None else on_one_line(mistake.hint)
        return UsageError(on_one_line(f"{at}: {mistake.message}"), hint=hint)

    def _hidden(self, mistake: Mistake) -> Mistake:
        """Without the values of variables."""
        message = mistake.message
        hint = mistake.hint
        for place, text in self.taken.items():
            if place != mistake.place and len(text.value) < SECRET_CHARS:
                continue  # such as a port, which stands in many words
            message = message.replace(text.value, text.written)
            if hint is not None:
                hint = hint.replace(text.value, text.written)
        return mistake._replace(message=message, hint=hint)


def on_one_line(text: str) -> str:
    """A name in a file may hold anything; a terminal gets what can be seen."""
    if text.isprintable():
        return text
    shown = (char if char.isprintable() else ascii(char)[1:-1] for char in text)
    return "".join(shown)


class _Child(NamedTuple):
    line: int
    node: yaml.Node


def _step_into(node: yaml.Node, step: str | int) -> _Child | None:
    if isinstance(node, yaml.MappingNode):
        return _entry(node, str(step))
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int):
        return _item(node, step)
    return None


def _entry(node: yaml.MappingNode, name: str) -> _Child | None:
    for key, value in node.value:
        if str(key.value).translate(SHOW_BRACES) == name:
            line = key.start_mark.line
            return _Child(line, value)
    return None


def _item(node: yaml.SequenceNode, number: int) -> _Child | None:
    if number >= len(node.value):
        return None
    item = node.value[number]
    line = item.start_mark.line
    return _Child(line, item)


def read_document(path: Path) -> Document:
    """Raises: UsageError for what is no mapping in YAML, or has a key twice, with its line."""
    text = _without_braces(_text_of(path))
    try:
        refuse_endless(text)
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        values = yaml.load(text, Loader=_Loader)  # noqa: S506  it is a SafeLoader
    except UNREADABLE as error:
        fault = fault_of(error)
        place = path if fault.line is None else f"{path}:{fault.line}"
        raise UsageError(f"{place}: {fault.text}") from error
    if not isinstance(values, dict) or root is None:
        raise UsageError(
            f"{path} holds no configuration",
            hint="it begins with upstreams:",
        )
    return Document(path, _with_braces(values), root, {})


class _Loader(yaml.SafeLoader):
    """A key is what is written: YAML reads `on` as true, which is no name of a field."""

    def construct_mapping(
        self,
        node: yaml.MappingNode,
        deep: bool = False,  # noqa: FBT001, FBT002  as its base has it
    ) -> dict[Any, Any]:  # Any: YAML
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag in READ_OTHERWISE:
                key.tag = "tag:yaml.org,2002:str"
        found: dict[Any, Any] = super().construct_mapping(node, deep=deep)  # Any: YAML
        return found


def _without_braces(text: str) -> str:
    """In YAML's own braces `${VAR}` could not stand without quotes."""
    return VARIABLE.sub(lambda match: match[0].translate(HIDE_BRACES), text)


def _with_braces(value: Any) -> Any:  # Any: YAML
    if isinstance(value, dict):
        return {_with_braces(key): _with_braces(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_with_braces(each) for each in value]
    return value.translate(SHOW_BRACES) if isinstance(value, str) else value


def _text_of(path: Path) -> str:
    try:
        return read_text(path)
    except OSError as error:
        raise UsageError(f"no configuration at {path}: {error.strerror}") from error


def refuse_duplicates(document: Document) -> None:
    """YAML takes the last of two values with one key; nobody means that. Raises: UsageError."""
    _refuse_duplicates(document.path, document.root, "")


def _refuse_duplicates(
    path: Path,
    node: yaml.Node,
    above: str,
) -> None:
    if isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            name = f"{above}{number}."
            _refuse_duplicates(path, item, name)
    if not isinstance(node, yaml.MappingNode):
        return
    seen: set[str] = set()
    for key, value in node.value:
        dotted = f"{above}{key.value}".translate(SHOW_BRACES)
        if dotted in seen:
            line = key.start_mark.line + 1
            message = f"{dotted} stands there twice"
            raise UsageError(f"{path}:{line}: {message}")
        seen.add(dotted)
        _refuse_duplicates(path, value, f"{dotted}.")
