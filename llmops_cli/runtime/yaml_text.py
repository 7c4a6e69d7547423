"""YAML by the fast parser where there is one, and what any of them raises, in a reader's words."""

from __future__ import annotations

from typing import Any, NamedTuple

import yaml

UNREADABLE = (yaml.YAMLError, ValueError, RecursionError)
"""A parser raises ValueError for a date that no calendar has, RecursionError for depth."""
SAFE_DEPTH = 2000
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class YamlFault(NamedTuple):
    """`line`: from 1; None where the parser does not know it."""

    line: int | None
    text: str


def load_yaml(text: bytes | str) -> Any:  # Any: whatever the text holds
    """Plain values only. Raises: one of UNREADABLE."""
    require_shallow(text)
    return yaml.load(text, Loader=LOADER)  # noqa: S506 - both loaders are safe ones


def require_shallow(text: bytes | str) -> None:
    """Raises: RecursionError for a text that the fast parser must not see, or YAMLError.

    It builds what is nested by calls of C that nobody counts: 100,000 brackets end the process. And
    it builds what holds itself (`&a [*a]`), through which nobody comes to an end.
    """
    refuse_endless(text)
    if _deepest_possible(text) <= SAFE_DEPTH:
        return
    depth = 0
    for event in yaml.parse(text, Loader=LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > SAFE_DEPTH:
            raise RecursionError


def refuse_endless(text: bytes | str) -> None:
    """Raises: YAMLError for an alias within what it names."""
    signs = (b"&", b"*") if isinstance(text, bytes) else ("&", "*")
    if not all(sign in text for sign in signs):  # type: ignore[operator]
        return
    around: list[str | None] = []
    for event in yaml.parse(text, Loader=LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            around.append(event.anchor)
        elif isinstance(event, yaml.CollectionEndEvent):
            around.pop()
        elif isinstance(event, yaml.AliasEvent) and event.anchor in around:
            raise _endless(event)


def _endless(event: yaml.AliasEvent) -> yaml.MarkedYAMLError:
    mark: Any = event.start_mark  # Any: the fast parser has a class of its own
    problem = f"*{event.anchor} stands within what it names"
    return yaml.MarkedYAMLError(problem=problem, problem_mark=mark)


def _deepest_possible(text: bytes | str) -> int:
    """By its look: each bracket may be a level, and so may each column of its longest line."""
    if isinstance(text, bytes):
        text = text.decode("latin-1")
    brackets = text.count("[") + text.count("{")
    columns = max(map(len, text.split("\n")))
    return brackets + 2 * columns  # a list may begin in the column of its key


def fault_of(error: Exception) -> YamlFault:
    """What an error of UNREADABLE says of the text.

    Of the parser's own words only what is wrong there: its context is told in terms of its states.
    """
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        line = None if mark is None else mark.line + 1
        return YamlFault(line, error.problem or error.context or "it cannot be read")
    if isinstance(error, RecursionError):
        return YamlFault(None, "it is nested too deeply")
    if isinstance(error, yaml.YAMLError | UnicodeError):
        return YamlFault(None, "it holds a character that no YAML may hold")
    return YamlFault(None, "it holds a date or a number that there is none of")


def reason_of(error: Exception) -> str:
    """What an error of UNREADABLE says, in one line and with its place."""
    fault = fault_of(error)
    return fault.text if fault.line is None else f"line {fault.line}: {fault.text}"
