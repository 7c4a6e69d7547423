"""Measurements that are kept from run to run, each under all that answered."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import msgspec

from llmops_cli.bench.recipe import BenchRecipe
from llmops_cli.bench.report import BenchReport
from llmops_cli.core.progress import Progress
from llmops_cli.runtime.digests import digest_path
from llmops_cli.runtime.files import to_json, write_atomic
from llmops_cli.runtime.paths import cache_dir

KeptT = TypeVar("KeptT", bound=msgspec.Struct)


def files_read(recipe: BenchRecipe) -> dict[str, str]:
    """The digests of the files that a load test reads: a rewritten file is another load."""
    named = [recipe.trace] if recipe.trace else []
    if recipe.dataset not in ("synthetic", "builtin"):
        named.append(recipe.dataset)
    return {name: digest_path(Path(name)) for name in named if Path(name).exists()}


class Kept:
    """One measurement's place in the cache."""

    def __init__(self, key: str | None, progress: Progress) -> None:
        self._progress = progress
        self._path = cache_dir() / "measured" / f"{key[7:31]}.json" if key else None

    def read(self, kind: type[KeptT]) -> KeptT | None:
        """What was kept; None if there is nothing, or nothing that can be read."""
        if self._path is None or not self._path.exists():
            return None
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=kind)
        except (msgspec.DecodeError, OSError) as error:
            self._progress.warn(f"{self._path} cannot be read ({error}): measured anew")
            return None

    def write(self, found: msgspec.Struct) -> None:
        if self._path is not None:
            write_atomic(self._path, to_json(found))


def all_valid(report: BenchReport | None) -> bool:
    """Only then is a measurement worth keeping; else it is made again next time."""
    return report is None or all(level.valid for level in report.levels)
