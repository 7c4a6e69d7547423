"""Values of variables, as the command line has them: `name=text`, or `name=@FILE`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from llmops_cli.core.errors import UsageError
from llmops_cli.runtime.near_path import near_path

FROM_FILE = "@"


def values_of(pairs: Sequence[str]) -> dict[str, str]:
    """By name. Raises: UsageError for what is no pair, comes twice, or names no file."""
    values: dict[str, str] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise UsageError(f"--var '{pair}' is not name=text", hint="--var question=...")
        if name in values:
            raise UsageError(f"--var {name} is given twice", hint="give one of them")
        values[name] = _file(text, name) if text.startswith(FROM_FILE) else text
    return values


def _file(text: str, name: str) -> str:
    from llmops_cli.runtime.rows import read_text

    path = Path(text.removeprefix(FROM_FILE))
    try:
        return read_text(path).rstrip("\n")
    except OSError as error:
        raise UsageError(
            f"--var {name}: no file at {path}: {error.strerror}", hint=near_path(path) or None
        ) from error
