"""Quantized artifacts and inspected models as tables."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from llmops_cli.quantize.cells import (
    COLUMNS,
    ON_FRONT,
    ROUNDED_GROWTH,
    ROUNDED_KL,
    cells_of,
    notes_of,
)
from llmops_cli.quantize.choice import pareto_front
from llmops_cli.quantize.page import page
from llmops_cli.quantize.report import Inspection, QuantizeReport
from llmops_cli.show.runs import Show
from llmops_cli.show.tables import add_columns

WORDS = frozenset({"artifact", "served by"})
"""Columns of words; the others hold numbers."""
DROPPABLE = (
    "CPU s",
    "of base",
    "same top-1",
    ROUNDED_GROWTH,
    ROUNDED_KL,
    "peak MB",
    "bits/weight",
    "perplexity",
)
"""What a narrow terminal can do without, the first first: size, loss and speed decide."""


def quantize_table(report: QuantizeReport) -> Table:
    """One row an artifact; a star marks the Pareto front of size and loss."""
    front: set[str] = set()
    if len(report.artifacts) > 1:
        front = pareto_front(report.artifacts)
    title = f"{report.manifest.recipe['model']}: size, quality and cost"
    table = Table(title=title, title_justify="left")
    add_columns(table, COLUMNS, words=WORDS)
    for artifact in report.artifacts:
        is_on_front = artifact.name in front
        row = cells_of(artifact, is_on_front=is_on_front)
        table.add_row(*row)
    lines = notes_of(report)
    if front:
        lines.append(ON_FRONT)
    lines += [artifact.path for artifact in report.artifacts]
    table.caption = "\n".join(lines)
    table.caption_justify = "left"
    return table


def inspection_table(found: Inspection) -> Table:
    """What `llmops quantize inspect` shows. Names come out of files: nothing in them is markup."""
    architecture = found.architecture or "unknown architecture"
    title = f"{found.path}: {found.format}, {architecture} {_weights_text(found)}"
    table = Table(title=_plain(title.rstrip()), title_justify="left")
    names = ("tensors of", "number", "MB", "types")
    add_columns(table, names, words=("tensors of", "types"))
    for kind in found.kinds:
        types = ", ".join(f"{count} {name}" for name, count in kind.types.items())
        size_mb = kind.bytes / 1e6
        table.add_row(kind.kind, str(kind.tensors), f"{size_mb:,.2f}", _plain(types))
    lines = [_size_text(found), *_loading_lines(found)]
    if found.check is not None:
        lines.append(str(found.check))
    if found.made_from:
        digest = (found.made_from_digest or "")[:19]
        lines.append(f"made from {found.made_from} ({digest})")
    table.caption = _plain("\n".join(lines))
    table.caption_justify = "left"
    return table


def _plain(text: str) -> Text:
    """Words as they are, without what a terminal would obey."""
    return Text("".join(char if char.isprintable() or char == "\n" else "?" for char in text))


def _size_text(found: Inspection) -> str:
    text = f"{found.size_bytes / 1e6:,.1f} MB"
    if found.parts > 1:
        text += f" in {found.parts} parts"
    if found.bits_per_weight is not None:
        text += f", {found.bits_per_weight:.2f} bits a weight"
    return text


def _loading_lines(found: Inspection) -> list[str]:
    """What was tried, and what was not."""
    lines = []
    if found.loads_in:
        lines.append(f"loads in {', '.join(found.loads_in)}")
    if found.does_not_load:
        lines.append(f"does not load: {found.does_not_load}")
    if found.taken_by:
        lines.append(f"its format is taken by {', '.join(found.taken_by)} (not tried)")
    return lines or ["none of our engines takes its format"]


def _weights_text(found: Inspection) -> str:
    parts = []
    if found.scheme:
        parts.append(found.scheme)
    if found.group_size:
        parts.append(f"groups of {found.group_size}")
    if found.symmetric is not None:
        parts.append("symmetric" if found.symmetric else "asymmetric")
    return " ".join(parts)


SHOW = Show(
    table=lambda report, word, width: quantize_table(report),
    droppable=DROPPABLE,
    page=page,
)
