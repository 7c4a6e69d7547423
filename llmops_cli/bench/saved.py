""""""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from llmops_cli.bench.report import BenchReport
from llmops_cli.bench.requests import Requests, load_requests

if TYPE_CHECKING:
    pass


class SavedRun(msgspec.Struct, frozen=True, kw_only=True):
    """One side of a comparison: a saved run and its requests."""

    name: str
    report: BenchReport
    requests: Requests | None


def load_run(
    folder: Path, report: BenchReport, *, name: str | None = None, most: int | None = None
) -> SavedRun:
    """A run whose report was read already, with about `most` of the requests in its folder."""
    total = sum(level.requests for level in report.levels)
    every = 1
    if most is not None:
        every = max(1, -(-total // most))
    return SavedRun(
        name=name or str(folder), report=report, requests=load_requests(folder, every=every)
    )
