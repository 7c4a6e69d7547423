"""The results folder of a run: report.json, report.csv, report.html."""

from __future__ import annotations

from pathlib import Path

from llmops_cli.runtime.files import write_atomic
from llmops_cli.runtime.runs import RunFolder
from llmops_cli.train.page import save_page
from llmops_cli.train.report import TrainReport
from llmops_cli.train.show import train_csv


def require_place() -> None:
    """Before the work. Raises: EnvironmentMissing where no run could be kept."""
    RunFolder("train", "").require_unused()


def save_run(report: TrainReport) -> Path:
    """Where it is. Raises: EnvironmentMissing if it cannot be written."""
    folder = RunFolder("train", Path(report.path).name)
    folder.write_report(report)
    write_atomic(folder.path / "report.csv", train_csv(report).encode())
    save_page(folder.path, report)
    return folder.path
