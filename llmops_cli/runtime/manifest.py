"""The manifest of a run that is under way: clocks and probes in one place."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from llmops_cli.core.report import Manifest
from llmops_cli.runtime.hardware import git_state, probe_hardware, versions_in


class RunClock:
    """Starts with the run; `manifest` closes it."""

    def __init__(self) -> None:
        self._started_at = datetime.now(UTC)
        self._start_ns = time.monotonic_ns()

    def manifest(
        self,
        recipe: msgspec.Struct,
        origins: dict[str, str],
        *,
        python: str | None = None,
        versions: dict[str, str] | None = None,
        seed: int | None = None,
        digests: dict[str, str] | None = None,
        complete: bool = True,
        server: str | None = None,
    ) -> Manifest:
        """`versions` are those that count.

        Without them the toolkit's packages in `python`, the engine's interpreter. `server`: what a
        server that ran already says it is.
        """
        known = versions or versions_in(python or sys.executable)
        if server:
            known = {**known, "server": server}
        return Manifest(
            recipe=msgspec.to_builtins(recipe),
            origins=origins,
            versions=known,
            hardware=probe_hardware(),
            git=git_state(Path.cwd()),
            seed=seed,
            digests=digests or {},
            started_at=self._started_at.isoformat(timespec="seconds"),
            finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
            duration_s=(time.monotonic_ns() - self._start_ns) / 1e9,
            argv=["llmops", *sys.argv[1:]],
            complete=complete,
        )
