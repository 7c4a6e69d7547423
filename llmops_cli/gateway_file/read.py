"""From the file to a GatewayConfig. What is wrong with it is told with its line."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec

from llmops_cli.core.misfit import misfit_of
from llmops_cli.gateway_file.check import mistakes_in
from llmops_cli.gateway_file.config import GatewayConfig
from llmops_cli.gateway_file.discovery import DiscoverConfig
from llmops_cli.gateway_file.document import Document, read_document, refuse_duplicates
from llmops_cli.gateway_file.interpolation import whole_path, with_scalars, with_values
from llmops_cli.gateway_file.machine import mistakes_here
from llmops_cli.gateway_file.mistake import Mistake, Place
from llmops_cli.gateway_file.model import ModelConfig
from llmops_cli.gateway_file.upstream import UpstreamConfig

NO_UPSTREAM = Mistake(
    ("upstreams",),
    "there is no upstream",
    "upstreams: {local: {url: http://...}}",
)
_Struct = TypeVar("_Struct")


class GatewayFile(NamedTuple):
    """What a file says, and where in it."""

    config: GatewayConfig
    document: Document


def load_config(path: Path) -> GatewayConfig:
    """For a gateway on this machine. Raises: UsageError with the line; EnvironmentMissing."""
    file = read_file(path)
    mistakes = mistakes_here(file.config, path.parent)
    for mistake in mistakes:
        raise file.document.error(mistake)
    return file.config


def read_file(path: Path) -> GatewayFile:
    """For a gateway anywhere: what only its machine can tell is not looked at.

    Raises: UsageError with the line, and the nearest name for one that does not exist.
    """
    document = with_values(read_document(path))
    upstreams = _upstreams(document)
    models = _entries(document, "models", ModelConfig)
    refuse_duplicates(document)
    if not upstreams:
        raise document.error(NO_UPSTREAM)
    config = msgspec.structs.replace(
        _all_but_entries(document),
        upstreams=upstreams,
        models=models,
    )
    for mistake in mistakes_in(config):
        raise document.error(mistake)
    return GatewayFile(config, document)


def _upstreams(document: Document) -> dict[str, UpstreamConfig]:
    """Files with keys or members are named in full. Raises: UsageError."""
    found = _entries(document, "upstreams", UpstreamConfig)
    for name, upstream in found.items():
        folder = document.path.parent
        found[name] = msgspec.structs.replace(
            upstream,
            key_file=whole_path(upstream.key_file, folder),
            discover=_discover_in(upstream.discover, folder),
        )
    return found


def _discover_in(discover: DiscoverConfig | None, folder: Path) -> DiscoverConfig | None:
    if discover is None:
        return None
    return msgspec.structs.replace(discover, file=whole_path(discover.file, folder))


def _entries(
    document: Document,
    section: str,
    kind: type[_Struct],
) -> dict[str, _Struct]:
    """Converted one by one, so that each mistake is told with a name. Raises: UsageError."""
    values = document.values.get(section)
    if values is None:
        return {}
    if not isinstance(values, dict):
        message = f"{section} maps names to what they are"
        raise document.error(Mistake((section,), message))
    entries = {}
    for key, value in values.items():
        name = str(key)
        place = (section, name)
        entries[name] = _converted(document, value, kind, place)
    return entries


def _all_but_entries(document: Document) -> GatewayConfig:
    """Raises: UsageError."""
    values = dict(document.values)
    values.pop("models", None)
    values["upstreams"] = {}
    return _converted(document, values, GatewayConfig, ())


def _converted(
    document: Document,
    value: object,
    kind: type[_Struct],
    place: Place,
) -> _Struct:
    """Raises: UsageError."""
    with suppress(msgspec.ValidationError):
        return msgspec.convert(value, kind)
    read = with_scalars(document, value, place)
    misfit = misfit_of(read, kind)
    if misfit is None:
        return msgspec.convert(read, kind)
    raise document.error(Mistake(place + misfit.place, misfit.message, misfit.hint))
