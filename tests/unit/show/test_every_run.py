"""`report html` and `report export` take a run of every command."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace
from rich.console import Console

from llmops_cli.bench.report import BenchReport
from llmops_cli.core.report import decode_report, family
from llmops_cli.show.runs import SHOWS, OpenedRun, export_of, export_table, page_of, table_of
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


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.json")), ids=lambda path: path.stem)
def test_no_two_columns_have_one_name(path: Path, tmp_path: Path) -> None:
    heads = [column.header for column in export_table(opened(path, tmp_path), 180).columns]
    named = [head for head in heads if head]
    assert len(set(named)) == len(named)


@pytest.mark.parametrize(
    ("name", "width", "kept"),
    [
        ("bench-2", 70, ["errors", "TTFT", "TPOT", "req/s", "tok/s", "valid"]),
        ("bench-2", 80, ["errors", "TTFT", "TPOT", "req/s", "tok/s", "valid"]),
        ("redteam-1", 60, ["family", "share", "95 %", "with guard", "failed"]),
        ("prompt-run-1", 60, ["technique", "strict", "lenient", "calls", "cost", "failed"]),
        ("guard-train-1", 80, ["attacks", "rules", "rules and stage", "both flag"]),
    ],
)
def test_a_narrow_table_has_a_row_for_each_thing_and_keeps_what_decides(
    name: str, width: int, kept: list[str]
) -> None:
    report = decode_report((GOLDEN / f"llmops.{name}.json").read_bytes())
    console = Console(width=width, color_system=None)
    with console.capture() as caught:
        console.print(table_of(report, width=width))
    lines = caught.get().splitlines()
    assert any(all(column in line for column in kept) for line in lines)
    assert any(line.startswith("no room for: ") for line in lines)


def test_a_narrow_table_of_objectives_is_a_table_with_goodput() -> None:
    report = decode_report((GOLDEN / "llmops.bench-2.json").read_bytes())
    assert isinstance(report, BenchReport)
    levels = [
        replace(level, label="1,024 streams", goodput_per_s=1234.56) for level in report.levels
    ]
    console = Console(width=60, color_system=None)
    with console.capture() as caught:
        console.print(table_of(replace(report, levels=levels), width=60))
    lines = caught.get().splitlines()
    kept = ["errors", "TTFT", "TPOT", "goodput/s", "valid"]
    assert any(all(column in line for column in kept) for line in lines)
    assert any(line.endswith(", tok/s") for line in lines)


def test_a_narrow_table_of_a_load_test_says_how_long_was_measured() -> None:
    report = decode_report((GOLDEN / "llmops.bench-2.json").read_bytes())
    console = Console(width=80, color_system=None)
    with console.capture() as caught:
        console.print(table_of(report, width=80))
    assert "measured for 0.6 s at 2 streams" in caught.get()


def test_a_page_of_quantization_has_speed_loss_and_what_should_not_be_compared(
    tmp_path: Path,
) -> None:
    (tmp_path / "quantize.png").write_bytes(b"a picture")
    page = page_of([opened(GOLDEN / "llmops.quantize-2.json", tmp_path)])
    for words in ("served by", "5,977±1%?", "+8.41%", "perplexity grew by", "does not count"):
        assert words in page
    assert 'src="data:image/png;base64,' in page


def test_a_page_of_a_recipes_run_has_its_picture(tmp_path: Path) -> None:
    run = opened(GOLDEN / "llmops.run-2.json", tmp_path)
    assert "<img" not in page_of([run])
    (tmp_path / "comparison.png").write_bytes(b"a picture")
    page = page_of([run])
    assert 'src="data:image/png;base64,' in page
    assert "p50 / p95" in page


@pytest.mark.parametrize("name", ["redteam-1", "generate-1", "run-2", "prompt-optimize-2"])
def test_a_page_says_on_which_machine_it_was_measured(name: str, tmp_path: Path) -> None:
    run = opened(GOLDEN / f"llmops.{name}.json", tmp_path)
    page = page_of([run])
    assert "About this run" in page
    assert run.report.manifest.started_at in page


def test_a_page_of_a_load_test_has_the_terminals_figures_and_no_empty_columns(
    tmp_path: Path,
) -> None:
    page = page_of([opened(GOLDEN / "llmops.bench-2.json", tmp_path)])
    for words in ("ITL p50 ms", ">4.20<", ">31.0<", "goodput/s", "95% needed"):
        assert words in page
    assert "$/1M tok" not in page
