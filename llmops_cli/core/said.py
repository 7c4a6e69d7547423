"""A recipe's values as the user gave them: by flag, by variable, or in a file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import msgspec

from llmops_cli.core.errors import UsageError, nearest_name
from llmops_cli.core.fields import flags_of, hints_of, is_list, spelling_of
from llmops_cli.core.urls import HIDDEN, is_secret_name

FLAG = "flag"
PREFIX = "LLMOPS_"
SERVICE_LINK = re.compile(r"_SERVICE_HOST$|_SERVICE_PORT|_PORT$|_PORT_[0-9]+_(TCP|UDP)")


def said_of(
    kind: type[msgspec.Struct],
    values: Mapping[str, object],
    origins: Mapping[str, str],
    *,
    command: str,
) -> dict[str, str]:
    """Each value in the words of where it came from, by field: `--fit 'big'`."""
    flags = flags_of(kind)
    said = {}
    for name, value in values.items():
        origin = origins[name]
        shown = _without_secrets(value)
        told = f"{name}={shown!r} ({origin})"
        if origin == FLAG and name in flags:
            told = f"{spelling_of(name, flags[name])} {shown!r}"
        elif origin == "env":
            told = f"{variable_of(command, name)}={shown!r}"
        said[name] = told
    return said


def _without_secrets(value: object) -> object:
    """Plain data of a recipe, in which a header or an option may hold a key."""
    if isinstance(value, Mapping):
        shown = {}
        for name, part in value.items():
            shown[name] = HIDDEN if is_secret_name(str(name)) else _without_secrets(part)
        return shown
    if isinstance(value, list | tuple):
        return [_without_secrets(part) for part in value]
    if isinstance(value, str):
        name, sign, _ = value.partition(":")
        if sign and is_secret_name(name):
            return f"{name}: {HIDDEN}"
    return value


def variable_of(command: str, field: str) -> str:
    """The environment variable of a command's field."""
    name = f"LLMOPS_{command}_{field}".upper()
    return name.replace("-", "_")


def strangers_in(
    environ: Mapping[str, str],
    *,
    command: str,
    names: Iterable[str],
) -> list[str]:
    """A line for each variable that is named after the command and sets nothing of it."""
    known = [variable_of(command, name) for name in names]
    own = variable_of(command, "")
    strangers = {name for name in environ if name.startswith(own)}.difference(known)
    return [
        f"{name} sets nothing of {command}: {nearest_name(name, known)}"
        for name in sorted(strangers)
    ]


def of_no_command(
    environ: Iterable[str],
    *,
    commands: Iterable[str],
    known: Iterable[str],
) -> list[str]:
    """A line for each variable of ours by name that no command reads.

    `known`: those that may have been meant. Kubernetes makes variables of a service's name, also
    of one called llmops; they are nobody's mistake.
    """
    own = tuple(variable_of(command, "") for command in commands)
    names = list(known)
    return [
        f"{name} sets nothing: {nearest_name(name, names)}"
        for name in sorted(environ)
        if name.startswith(PREFIX)
        and not name.startswith(own)
        and name not in names
        and not SERVICE_LINK.search(name)
    ]


def refuse_empty_flags(
    kind: type[msgspec.Struct],
    values: Mapping[str, object],
    origins: Mapping[str, str],
    said: Mapping[str, str],
) -> None:
    """Raises: UsageError for a flag with no name in it: what was wished for is not the default."""
    hints = hints_of(kind)
    for name, value in values.items():
        is_empty = isinstance(value, str) and not value.strip(", ")
        if is_empty and origins[name] == FLAG and is_list(hints[name]):
            raise UsageError(f"{said[name]} names nothing", hint="leave it out")
