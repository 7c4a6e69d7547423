"""Names to "module:object", loaded late: the only way engines, methods and commands are found."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING

from llmops_cli.core.errors import unknown_name

if TYPE_CHECKING:
    from importlib.metadata import EntryPoints


def load_object(place: str) -> object:
    """What "module:object" names."""
    module, _, attribute = place.partition(":")
    return getattr(import_module(module), attribute)


def load_named(
    kind: str,
    name: str,
    builtin: Mapping[str, str],
    group: str,
) -> object:
    """The object behind `name`, from the built-in table or an entry point of `group`.

    Raises: UsageError with a did-you-mean for a name nobody provides.
    """
    if name in builtin:
        return load_object(builtin[name])
    known = list(builtin)
    for entry in _plugins(group):
        if entry.name == name:
            return entry.load()
        known.append(entry.name)
    raise unknown_name(kind, name, known)


def plugin_names(group: str) -> list[str]:
    """Names that other installed packages provide in an entry-point group."""
    names = [entry.name for entry in _plugins(group)]
    return sorted(names)


def _plugins(group: str) -> EntryPoints:
    from importlib import metadata  # late: it costs more than all the rest of --help

    return metadata.entry_points(group=group)
