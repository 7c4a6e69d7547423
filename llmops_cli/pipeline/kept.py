"""Measurements that are kept from run to run, each under all that answered."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import msgspec

from llmops_cli import __version__
from llmops_cli.bench.recipe import BenchRecipe
from llmops_cli.bench.report import BenchReport
from llmops_cli.core.progress import Progress
from llmops_cli.core.spec import ServerSpec
from llmops_cli.runtime.closure import cache_key
from llmops_cli.runtime.digests import digest_path
from llmops_cli.runtime.files import to_json, write_atomic
from llmops_cli.runtime.hardware import probe_hardware
from llmops_cli.runtime.paths import cache_dir
from llmops_cli.serving.target import PreparedTarget

KeptT = TypeVar("KeptT", bound=msgspec.Struct)
WORKERS = "{workers}"


def measurement_key(target: PreparedTarget, *asked: object) -> str | None:
    """Of a measurement of an engine that we start, by all that answered.

    That is: model, adapters, options, the engine and its versions, the code of its server, this
    machine, and what was `asked`. None for a server that somebody else runs: nobody knows what
    answers there tomorrow.
    """
    if target.is_remote:
        return None
    spec = target.spec(port=0, parallel=0)
    return cache_key(
        __version__,
        target.digests(),
        msgspec.to_builtins(target.options),
        target.target.backend,
        target.versions(),
        _machine(),
        *asked,
        program=_program(spec),
        env=target.env,
    )


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


def _program(spec: ServerSpec) -> str | None:
    """Our worker that serves it, if it is one of ours."""
    if WORKERS not in spec.argv:
        return None
    return spec.argv[spec.argv.index(WORKERS) + 1]


def _machine() -> dict[str, object]:
    """What makes this machine fast or slow."""
    hardware = probe_hardware()
    return {name: hardware[name] for name in ("cpu_model", "cores_logical", "ram_bytes", "gpus")}
