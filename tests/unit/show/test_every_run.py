"""`report html` and `report export` take a run of every command."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmops_cli.core.report import decode_report, family
from llmops_cli.show.runs import SHOWS, OpenedRun, export_of, page_of
from llmops_cli.show.tables import four_digits

GOLDEN = Path(__file__).parents[2] / "golden" / "reports"
STANDS_ON_ITS_FOLDER = {"llmops.prompt-eval", "llmops.prompt-run"}
"""Their tables are made of the answers beside the report."""


def opened(path: Path, tmp_path: Path) -> OpenedRun:
    return OpenedRun(name="run", path=tmp_path, report=decode_report(path.read_bytes()))


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.json")), ids=lambda path: path.stem)
def test_a_run_of_every_command_is_a_page_and_markdown(path: Path, tmp_path: Path) -> None:
    run = opened(path, tmp_path)
    if family(run.report.schema) in STANDS_ON_ITS_FOLDER:
        pytest.skip("a folder of answers")
    page = page_of([run])
    assert page.lstrip().lower().startswith("<!doctype html>")
    assert "<h1" in page or "<h2" in page
    export = export_of(run, "markdown")
    assert export.text is not None
    assert "|" in export.text(run)


def test_every_command_has_a_golden_run() -> None:
    schemas = {path.stem.rpartition("-")[0] for path in GOLDEN.glob("*.json")}
    assert set(SHOWS) <= schemas


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.0123456, "0.01235"), (999.94, "999.9"), (1234.5, "1,234"), (32482.3, "32,482"), (0, "0")],
)
def test_a_figure_has_four_digits_and_no_power_of_ten(value: float, said: str) -> None:
    assert four_digits(value) == said
