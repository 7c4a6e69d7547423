"""Measurements that are kept from run to run, each under all that answered."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import msgspec

from llmops_cli.bench.recipe import BenchRecipe
from llmops_cli.bench.report import BenchReport
from llmops_cli.core.progress import Progress
from llmops_cli.runtime.contents import read_state
from llmops_cli.runtime.digests import digest_path
from llmops_cli.runtime.files import to_json, write_atomic
from llmops_cli.runtime.paths import cache_dir

KeptT = TypeVar("KeptT", bound=msgspec.Struct)
KEY_DIGITS = 24
NO_FILE = ("synthetic", "builtin")
"""Datasets that no file holds."""


def files_read(recipe: BenchRecipe) -> dict[str, str]:
    """The digests of the files that a load test reads: a rewritten file is another load."""
    named = []
    if recipe.trace:
        named.append(recipe.trace)
    if recipe.dataset not in NO_FILE:
        named.append(recipe.dataset)
    digests = {}
    for name in named:
        path = Path(name)
        if path.exists():
            digests[name] = digest_path(path)
    return digests


class Kept:
    """One measurement's place in the cache."""

    def __init__(self, key: str | None, progress: Progress) -> None:
        self._progress = progress
        self._path: Path | None = None
        if key is not None:
            digits = key.removeprefix("sha256:")[:KEY_DIGITS]
            self._path = cache_dir() / "measured" / f"{digits}.json"

    def read(self, kind: type[KeptT]) -> KeptT | None:
        """What was kept; None if there is nothing, or nothing that can be read."""
        if self._path is None:
            return None
        return read_state(self._path, kind, progress=self._progress)

    def write(self, found: msgspec.Struct) -> None:
        if self._path is not None:
            write_atomic(self._path, to_json(found))


def all_valid(report: BenchReport | None) -> bool:
    """Only then is a measurement worth keeping; else it is made again next time."""
    if report is None:
        return True
    return all(level.valid for level in report.levels)
