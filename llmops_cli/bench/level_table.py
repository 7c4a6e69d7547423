"""Levels as CSV, one line each."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from llmops_cli.bench.report import Level
from llmops_cli.show.csv_text import csv_text

LEFT_OUT = ("series", "client", "windows", "slos", "rates_ci95", "rates_each")
"""What is no number of the whole level."""
WITH_INTERVAL = ("p50", "p90", "p95", "p99")
RATES = ("requests_per_s", "output_tokens_per_s")
LevelRow = dict[str, object]


def levels_csv(levels: Sequence[Level]) -> str:
    """Distributions become ttft_ms_p50, ttft_ms_p50_low and so on; empty without levels.

    `level` is the number that the rows of records.csv have.
    """
    rows = [{"level": number, **_row(level)} for number, level in enumerate(levels)]
    if not rows:
        return ""
    return csv_text(list(rows[0]), rows)


def _row(level: Level) -> LevelRow:
    row: LevelRow = {}
    fields = msgspec.to_builtins(level)
    for name, value in fields.items():
        if name not in LEFT_OUT:
            row |= _cells(name, value)
    for rate in RATES:
        interval = level.rates_ci95.get(rate, (None, None))
        low, high = interval
        row[f"{rate}_low"] = low
        row[f"{rate}_high"] = high
    return row


def _cells(name: str, value: object) -> LevelRow:
    if isinstance(value, dict):
        if "ci95" in value:
            return _distribution_cells(name, value)
        counts = [f"{key}: {count}" for key, count in value.items()]
        return {name: "; ".join(counts)}
    if isinstance(value, list):
        texts = [str(item) for item in value]
        return {name: "; ".join(texts)}
    return {name: value}


def _distribution_cells(name: str, value: LevelRow) -> LevelRow:
    intervals = value["ci95"]
    assert isinstance(intervals, dict)
    cells: LevelRow = {}
    for key, part in value.items():
        if key not in ("ci95", "missing"):
            cells[f"{name}_{key}"] = part
    for key in WITH_INTERVAL:
        interval = intervals.get(key, (None, None))
        low, high = interval
        cells[f"{name}_{key}_low"] = low
        cells[f"{name}_{key}_high"] = high
    return cells
