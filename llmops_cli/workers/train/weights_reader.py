"""Pieces of the weights in a folder's safetensors files."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from safetensors import safe_open
from torch import Tensor

PREFIXES = ("", "model.", "transformer.", "language_model.", "language_model.model.")
"""What names of weights begin with in some folders and not in others (gpt2 on the hub has none)."""


class WeightsReader:
    """Reads slices; files stay open and mapped."""

    def __init__(self, places: dict[str, tuple[Path, str]]) -> None:
        self._places = places
        self._open: dict[Path, Any] = {}

    @classmethod
    def of(cls, folder: Path, names: Iterable[str]) -> "WeightsReader | None":
        """None if the folder has not every name, or no such files."""
        files = _files(folder)
        places = {}
        for name in names:
            stored = _stored_name(name, files)
            if stored is None:
                return None
            places[name] = (files[stored], stored)
        return cls(places)

    def read(self, name: str, slices: tuple[slice, ...]) -> Tensor:
        path, stored = self._places[name]
        if path not in self._open:
            opened: Any = safe_open  # it has no types
            self._open[path] = opened(str(path), framework="pt", device="cpu")
        tensor: Tensor = self._open[path].get_slice(stored)[slices]
        return tensor


def _files(folder: Path) -> dict[str, Path]:
    """Names of weights to the files that have them."""
    index = folder / "model.safetensors.index.json"
    if index.exists():
        places = json.loads(index.read_text())["weight_map"]
        return {name: folder / file for name, file in places.items()}
    single = folder / "model.safetensors"
    if not single.exists():
        return {}
    opened: Any = safe_open
    with opened(str(single), framework="pt") as file:
        return dict.fromkeys(file.keys(), single)


def _stored_name(name: str, files: dict[str, Path]) -> str | None:
    """As the folder has it: with another prefix, or none."""
    if name in files:
        return name
    for prefix in PREFIXES:
        if prefix and name.startswith(prefix) and name.removeprefix(prefix) in files:
            return name.removeprefix(prefix)
        if f"{prefix}{name}" in files:
            return f"{prefix}{name}"
    return None
