"""A training run as a table."""

from __future__ import annotations

from rich.table import Table

from llmops_cli.show.runs import Show
from llmops_cli.show.tables import number
from llmops_cli.train.report import TrainReport


def train_table(report: TrainReport) -> Table:
    table = Table(title=report.path, title_justify="left")
    for name in ("parameters", "steps", "loss", "tokens", "tokens/s", "CPU s"):
        table.add_column(name, justify="right")
    table.add_row(
        f"{report.parameters:,}",
        str(report.steps),
        number(report.loss, 4),
        f"{report.tokens:,}",
        number(report.tokens_per_s, 0),
        number(report.cpu_s, 1),
    )
    return table


SHOW = Show(table=lambda report, word, width: train_table(report))
