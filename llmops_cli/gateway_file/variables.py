"""`${VAR}` and `${file:PATH}` in the gateway's file, and what they stand for.

Values so taken are secrets: no message here holds one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from llmops_cli.core.errors import UsageError
from llmops_cli.runtime.paths import at_home

FILE = "file:"
DEFAULT = ":-"
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TAKEN = re.compile(r"(\$?)\$\{([^{}]*)\}")
"""`$${VAR}` is the text `${VAR}`."""


class NoValue(UsageError):
    """What is named has no value. The message says which name."""


def has_variables(text: str) -> bool:
    return "${" in text


def resolved(
    text: str,
    environ: Mapping[str, str] | None = None,
    *,
    taken: list[str] | None = None,
) -> str:
    """With values for all names, which are added to `taken`. Raises: NoValue."""
    variables = os.environ if environ is None else environ

    def value(name: str) -> str:
        if name.startswith(FILE):
            found = read_secret(Path(name.removeprefix(FILE)))
        else:
            found = _variable(name, variables)
        if taken is not None:
            taken.append(found)
        return found

    return _replaced(text, value)


def _replaced(text: str, value: Callable[[str], str]) -> str:
    def one(match: re.Match[str]) -> str:
        if match[1]:
            return match[0][1:]
        return value(match[2])

    return _TAKEN.sub(one, text)


def _variable(name: str, variables: Mapping[str, str]) -> str:
    name, given, default = name.partition(DEFAULT)
    if not VARIABLE.fullmatch(name):
        raise NoValue(f"${{{name}}} names no variable of the environment")
    found = variables.get(name, "").strip()
    if found or given:
        return found or default
    raise NoValue(f"the environment variable {name} is not set")


def read_secret(path: Path) -> str:
    """A file's text without the line break at its end. Raises: NoValue."""
    try:
        found = path.read_text(encoding="utf-8-sig").strip()
    except OSError as error:
        raise NoValue(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise NoValue(f"{path} is no text") from None
    if not found:
        raise NoValue(f"{path} is empty")
    return found


def below_folder(text: str, folder: Path) -> str:
    """Files that are named relative to the gateway's file, named in full."""

    def whole(name: str) -> str:
        if name.startswith(FILE):
            path = folder / at_home(name.removeprefix(FILE))
            name = f"{FILE}{path.resolve()}"
        return f"${{{name}}}"

    def one(match: re.Match[str]) -> str:
        return match[0] if match[1] else whole(match[2])

    return _TAKEN.sub(one, text)


def files_in(text: str) -> Iterator[Path]:
    for escape, name in _TAKEN.findall(text):
        if not escape and name.startswith(FILE):
            yield Path(name.removeprefix(FILE))
