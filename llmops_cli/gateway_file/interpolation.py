"""Variables in the gateway's file are replaced, but in what an upstream is sent: see credentials.

A text with a variable stays a text; where the configuration wants a number it becomes one.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import yaml

from llmops_cli.core.errors import UsageError
from llmops_cli.gateway_file.document import Document, Taken
from llmops_cli.gateway_file.mistake import Mistake, Place
from llmops_cli.gateway_file.variables import below_folder, has_variables, resolved
from llmops_cli.runtime.paths import at_home
from llmops_cli.runtime.yaml_text import UNREADABLE

Value = Any  # Any: YAML
KEPT_AS_WRITTEN = ("url", "headers", "query")


def as_written(document: Document) -> Value:
    """The file's values with their variables, where a text is wanted the characters of it."""
    return _as_written(document, document.values, ())


def _as_written(document: Document, value: Value, place: Place) -> Value:
    if isinstance(value, dict):
        return {key: _as_written(document, each, (*place, str(key))) for key, each in value.items()}
    if isinstance(value, list):
        return [_as_written(document, each, (*place, number)) for number, each in enumerate(value)]
    return _characters(document, value, place)


def _characters(document: Document, value: Value, place: Place) -> Value:
    """What YAML reads as a number, a truth or a date, where the characters are meant."""
    if _is_text(place) and isinstance(value, int | float | date):
        return document.written(place) or value
    return value


def with_values(document: Document) -> Document:
    """Raises: UsageError with the line of a variable that has no value."""
    taken: dict[Place, Taken] = {}
    values = _with_values(document, document.values, (), taken)
    return document._replace(values=values, taken=taken)


def _with_values(
    document: Document,
    value: Value,
    place: Place,
    taken: dict[Place, Taken],
) -> Value:
    if isinstance(value, dict):
        return {
            key: _with_values(document, each, (*place, str(key)), taken)
            for key, each in value.items()
        }
    if isinstance(value, list):
        return [
            _with_values(document, each, (*place, number), taken)
            for number, each in enumerate(value)
        ]
    value = _characters(document, value, place)
    if not isinstance(value, str) or not has_variables(value):
        return value
    written = below_folder(value, document.path.parent)
    if _is_kept(place):
        return written
    try:
        found = resolved(written)
    except UsageError as error:
        raise document.error(Mistake(place, error.message, error.hint)) from None
    taken[place] = Taken(value, found)
    return found


def _is_kept(place: Place) -> bool:
    """upstreams.NAME.url, and what stands below headers and query."""
    return len(place) > 2 and place[0] == "upstreams" and place[2] in KEPT_AS_WRITTEN


def _is_text(place: Place) -> bool:
    """A header's or query's value, where `api-version: 2024-10-21` means these characters."""
    return len(place) == 4 and _is_kept(place)


def with_scalars(document: Document, value: Value, place: Place) -> Value:
    """The texts that came from variables as the numbers and truths that YAML reads in them."""
    if isinstance(value, dict):
        return {
            key: with_scalars(document, each, (*place, str(key))) for key, each in value.items()
        }
    if isinstance(value, list):
        return [with_scalars(document, each, (*place, number)) for number, each in enumerate(value)]
    if place not in document.taken:
        return value
    return _scalar(value)


def _scalar(text: str) -> Value:
    try:
        found = yaml.safe_load(text)
    except UNREADABLE:
        return text
    return found if isinstance(found, int | float | bool) else text


def whole_path(named: str | None, folder: Path) -> str | None:
    """A file named relative to the gateway's.

    Links stay what they are: Kubernetes changes a secret by pointing one elsewhere.
    """
    if named is None:
        return None
    return str(folder.absolute() / at_home(named))
