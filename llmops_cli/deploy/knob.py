"""A value of a manifest with what a reader asks of it: where is it from, and who may change it."""

from __future__ import annotations

from typing import Any

import msgspec

Plain = Any  # Any: YAML
Manifest = dict[str, Any]  # Any: YAML


class Knob(msgspec.Struct, frozen=True):
    """`note`: where the value is from. `path`: its name in a Helm chart's values."""

    value: Plain
    note: str = ""
    path: str = ""


def value_path(upstream: str, what: str) -> str:
    """Of an engine's values; names of a chart have no hyphens."""
    return f"engines.{upstream.replace('-', '_')}.{what}"


def plain(value: Plain) -> Plain:
    """The same without knobs."""
    if isinstance(value, Knob):
        return plain(value.value)
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value


def knobs_in(value: Plain) -> list[Knob]:
    """Those with a path, as they stand."""
    if isinstance(value, Knob):
        here = [value] if value.path else []
        return here + knobs_in(value.value)
    found: list[Knob] = []
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for each in value:
            found += knobs_in(each)
    return found


def without_nothing(manifest: Manifest) -> Manifest:
    """Without the keys whose value is None, an empty list or an empty mapping."""
    return {key: value for key, value in manifest.items() if not _is_nothing(value)}


def _is_nothing(value: Plain) -> bool:
    return value is None or (isinstance(value, list | dict) and not value)
