"""Looking a name up in a table."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import TypeVar

from _shared.protocol import JobError

Value = TypeVar("Value")


def named(table: Mapping[str, Value], name: str, what: str) -> Value:
    """Raises: JobError with the names there are, and the likely one."""
    if name in table:
        return table[name]
    near = get_close_matches(name, table, 1)
    hint = f"known: {', '.join(table)}"
    if near:
        hint = f"did you mean '{near[0]}'? {hint}"
    raise JobError("UsageError", f"unknown {what} '{name}'", hint)
