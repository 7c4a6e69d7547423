"""A saved run with its requests."""

from __future__ import annotations

import math
from pathlib import Path

import msgspec

from llmops_cli.bench.report import BenchReport, Level, streams_label
from llmops_cli.bench.requests import Requests, load_requests


class SavedRun(msgspec.Struct, frozen=True, kw_only=True):
    """One side of a comparison. Without its table of requests a run has only its levels."""

    name: str
    report: BenchReport
    requests: Requests | None


def load_run(
    folder: Path,
    report: BenchReport,
    *,
    name: str | None = None,
    most: int | None = None,
) -> SavedRun:
    """A run whose report was read already, with about `most` of the requests in its folder."""
    every = 1
    if most is not None:
        total = sum(level.requests for level in report.levels)
        parts = math.ceil(total / most)
        every = max(1, parts)
    requests = load_requests(folder, every=every)
    shown = name or str(folder)
    return SavedRun(name=shown, report=report, requests=requests)


def load_name(level: Level) -> str:
    """What a level is found by in another run: its streams, however they were once written."""
    if level.kind == "closed" and level.concurrency:
        return streams_label(level.concurrency)
    return level.label
