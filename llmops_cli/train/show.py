"""A training run as a table, in lists, and beside another one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
from rich.markup import escape
from rich.table import Table

from llmops_cli.core.counted import counted
from llmops_cli.core.report import Report
from llmops_cli.show.csv_text import csv_text
from llmops_cli.show.runs import Export, OpenedRun, Show
from llmops_cli.show.tables import megabytes, natural_width, number
from llmops_cli.train.compare import compare
from llmops_cli.train.gate import gate
from llmops_cli.train.page import page
from llmops_cli.train.report import HERE, TrainReport, answers_in

COLUMNS = (
    "strategy",
    "ranks",
    "parameters",
    "steps",
    "loss",
    "validation",
    "perplexity",
    "tokens",
    "tokens/s",
    "MFU",
    "CPU s",
    "peak MB",
)
LINE_CHARS = 160
CSV_COLUMNS = ("step", "loss", "grad_norm", "learning_rate", "tokens_per_s")


def train_table(report: TrainReport, *, width: int) -> Table:
    """One row; where a terminal has no room for it, a row a figure, so that none is cut."""
    table = _titled(report)
    for name in COLUMNS:
        table.add_column(name, justify="left" if name == "strategy" else "right")
    table.add_row(*cells_of(report))
    return table if natural_width(table) <= width else _tall_table(report)


def _tall_table(report: TrainReport) -> Table:
    table = _titled(report)
    table.show_header = False
    table.add_column()
    table.add_column(justify="right")
    for name, cell in zip(COLUMNS, cells_of(report), strict=True):
        table.add_row(name, cell)
    return table


def _titled(report: TrainReport) -> Table:
    table = Table(title=report.path, title_justify="left")
    table.caption = escape("\n".join([*report.notices, *_answer_lines(report)]))
    table.caption_justify = "left"
    return table


def _answer_lines(report: TrainReport) -> Iterator[str]:
    """What it said to questions of the data."""
    for each in answers_in(report):
        yield f"asked: {shortened(each.question)}"
        yield f"   it: {shortened(each.answer) or '(nothing)'}"


def shortened(text: str) -> str:
    """In one line; of a long text its end, where the question is."""
    line = " ".join(text.split())
    return line if len(line) <= LINE_CHARS else f"... {line[-LINE_CHARS:]}"


def cells_of(report: TrainReport) -> list[str]:
    """In the order of COLUMNS."""
    validation = None
    perplexity = None
    if report.validation:
        validation = report.validation[-1].loss
        perplexity = report.validation[-1].perplexity
    mfu = f"{report.mfu:.1%}" if report.mfu is not None else "-"
    return [
        report.strategy,
        str(report.world_size),
        f"{report.parameters:,}",
        str(report.steps),
        number(report.loss, 4),
        number(validation, 4),
        number(perplexity, 2),
        f"{report.tokens:,}",
        number(report.tokens_per_s, 0),
        mfu,
        number(report.cpu_s, 1),
        megabytes(report.memory.engine_peak_rss_bytes),
    ]


def train_csv(report: TrainReport) -> str:
    """One row a point of the curves."""
    curves = {
        "loss": dict(report.loss_curve),
        "grad_norm": dict(report.grad_norm_curve),
        "learning_rate": dict(report.learning_rate_curve),
        "tokens_per_s": dict(report.tokens_per_s_curve),
    }
    rows = []
    for step, _ in report.loss_curve:
        row: dict[str, object] = {"step": step}
        row |= {name: curve.get(step) for name, curve in curves.items()}
        rows.append(row)
    return csv_text(CSV_COLUMNS, rows)


def train_markdown(report: TrainReport) -> str:
    cells = cells_of(report)
    lines = [COLUMNS, ["---"] * len(COLUMNS), cells]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _listed(report: TrainReport) -> dict[str, object]:
    return {
        "model": report.manifest.recipe.get("model") or Path(report.path).name,
        "backend": f"{report.strategy} x {report.world_size}",
        "tokens_per_s": report.tokens_per_s,
        "steps": report.steps,
        "tokens": report.tokens,
        "loss": report.loss,
        "validation_loss": report.validation[-1].loss if report.validation else None,
    }


def _figures(report: TrainReport) -> str:
    words = [f"loss {report.loss:.4g} after {counted(report.steps, 'step')}"]
    if report.validation:
        words.append(f"held out {report.validation[-1].loss:.4g}")
    return ", ".join(words)


def _reread(folder: Path, report: TrainReport) -> tuple[Report, str]:
    """The report in a model's folder, which may have been moved, is of the model beside it."""
    if report.path == HERE:
        report = msgspec.structs.replace(report, path=str(folder))
    return report, "" if report.manifest.complete else "partial"


def _export_markdown(run: OpenedRun) -> str:
    return train_markdown(run.report)


def _export_csv(run: OpenedRun) -> str:
    return train_csv(run.report)


SHOW = Show(
    table=lambda report, word, width: train_table(report, width=width),
    listed=_listed,
    figures=_figures,
    reread=_reread,
    compare=compare,
    gate=gate,
    page=page,
    exports={"markdown": Export(text=_export_markdown), "csv": Export(text=_export_csv)},
)
