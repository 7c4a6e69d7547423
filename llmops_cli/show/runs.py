"""Saved runs of any command: which table each has, and the list of a folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import msgspec
from rich.table import Table

from llmops_cli.core.names import load_object
from llmops_cli.core.report import Report, family
from llmops_cli.show.tables import milliseconds

SHOWS = {
    "llmops.bench": "llmops_cli.bench.show:SHOW",
    "llmops.quantize": "llmops_cli.quantize.show:SHOW",
    "llmops.redteam": "llmops_cli.redteam.show:SHOW",
    "llmops.train": "llmops_cli.train.show:SHOW",
    "llmops.run": "llmops_cli.pipeline.show:SHOW",
}
"""Schema without its number -> "module:object" of its Show."""


class Show(msgspec.Struct, frozen=True, kw_only=True):
    """What `llmops report` can do with one command's runs.

    `table(report, word, width)`: `word` says what is special, such as partial. `listed(report)`:
    its own columns in the list of a folder.
    """

    table: Callable[[Any, str, int], Table]  # Any: each command has its own report
    listed: Callable[[Any], dict[str, object]] = lambda report: {}


def show_of(report: Report) -> Show:
    """The one that knows this report."""
    return cast(Show, load_object(SHOWS[family(report.schema)]))


def table_of(report: Report, *, word: str = "", width: int = 180) -> Table:
    """Any report."""
    return show_of(report).table(report, word, width)


def run_list(runs: Sequence[tuple[str, Report, str]]) -> list[dict[str, object]]:
    """(folder, report, word) as rows for --json."""
    rows = []
    for folder, report, word in runs:
        row: dict[str, object] = {
            "folder": folder,
            "kind": family(report.schema).removeprefix("llmops."),
            "when": report.manifest.started_at,
            "state": word,
            "model": report.manifest.recipe.get("model"),
        }
        rows.append(row | show_of(report).listed(report))
    return rows


def run_list_table(runs: Sequence[tuple[str, Report, str]]) -> Table:
    """The same for people."""
    table = Table()
    for name in ("when", "kind", "model", "on", "best tok/s", "TTFT p50 from", "", "folder"):
        numeric = name in ("best tok/s", "TTFT p50 from")
        table.add_column(name, justify="right" if numeric else "left")
    for row in run_list(runs):
        best = row.get("best_output_tokens_per_s")
        ttft = row.get("lowest_ttft_ms_p50")
        unsound = "" if row.get("valid", True) else "[bold red]INVALID[/]"
        table.add_row(
            str(row["when"])[:19],
            str(row["kind"]),
            str(row["model"] or "-"),
            str(row.get("backend") or "-"),
            f"{best:,.0f}" if isinstance(best, float) else "-",
            milliseconds(ttft if isinstance(ttft, float) else None),
            str(row["state"]) or unsound,
            str(row["folder"]),
        )
    return table
