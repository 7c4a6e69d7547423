"""Every command's runs are found by their schema, and say what cannot be done with them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from rich.console import Console

from llmops_cli.core.errors import UsageError
from llmops_cli.core.report import REPORTS, report_kind
from llmops_cli.show.gates import ConditionOutcome
from llmops_cli.show.runs import (
    SHOWS,
    OpenedRun,
    compare_runs,
    export_of,
    judge_run,
    open_run,
    page_of,
    run_list,
    run_list_table,
    table_of,
)

GOLDEN = Path(__file__).parents[2] / "golden" / "reports"


@pytest.fixture
def saved(tmp_path: Path) -> dict[str, OpenedRun]:
    """A run of each command, by its kind."""
    found = {}
    for name in REPORTS:
        folder = tmp_path / name
        folder.mkdir()
        schema = report_kind(name).schema.replace("/", "-")
        shutil.copy(GOLDEN / f"{schema}.json", folder / "report.json")
        found[name.removeprefix("llmops.")] = open_run(folder)
    return found


def test_every_command_with_a_report_has_a_show() -> None:
    assert set(SHOWS) == set(REPORTS)


def test_every_run_is_shown_and_listed(saved: dict[str, OpenedRun]) -> None:
    for kind, run in saved.items():
        shown = drawn(run, 180)
        assert len(shown.splitlines()) > 3, kind
    rows = run_list(list(saved.values()))
    assert [row["kind"] for row in rows] == list(saved)


@pytest.mark.parametrize("width", [60, 80, 100, 120])
def test_no_figure_of_any_report_is_cut(saved: dict[str, OpenedRun], width: int) -> None:
    for kind, run in saved.items():
        assert "\u2026" not in drawn(run, width), kind
    console = Console(width=width)
    with console.capture() as caught:
        console.print(run_list_table(list(saved.values())))
    assert "\u2026" not in caught.get()


@pytest.mark.parametrize(("width", "heads"), [(60, ["state", "folder"]), (80, ["when", "folder"])])
def test_a_list_has_a_line_for_each_run_and_folders_to_copy(
    saved: dict[str, OpenedRun], width: int, heads: list[str]
) -> None:
    runs = []
    for kind, run in saved.items():
        folder = Path(f"results/20261129T235053Z-{kind}-demo")
        runs.append(OpenedRun(name=folder.name, path=folder, report=run.report))
    console = Console(width=width)
    with console.capture() as caught:
        console.print(run_list_table(runs))
    lines = caught.get().splitlines()
    assert any(all(head in line for head in heads) for line in lines)
    for run in runs:
        assert sum(line.rstrip().endswith(str(run.path)) for line in lines) == 1


def drawn(run: OpenedRun, width: int) -> str:
    console = Console(width=width)
    with console.capture() as caught:
        console.print(table_of(run.report, word=run.word, width=width))
    return caught.get()


def test_a_command_without_a_gate_says_so(saved: dict[str, OpenedRun]) -> None:
    quantize = saved["quantize"]
    with pytest.raises(
        UsageError, match="is a run of quantize, which `report gate` has nothing for"
    ):
        judge_run(quantize, None, ["loss > 1"], allow_invalid=False)
    with pytest.raises(UsageError, match="a run of quantize has no junit"):
        export_of(quantize, "junit")
    with pytest.raises(UsageError, match="`report compare` has nothing for"):
        compare_runs(quantize, quantize, metrics=[], min_effect=None)


def test_runs_of_two_commands_are_not_mixed(saved: dict[str, OpenedRun]) -> None:
    with pytest.raises(UsageError, match=r"is a run of bench, .* of train") as caught:
        compare_runs(saved["bench"], saved["train"], metrics=[], min_effect=None)
    assert caught.value.hint == "give runs of one command"


def test_a_load_test_has_all_of_it(saved: dict[str, OpenedRun]) -> None:
    run = saved["bench"]
    found = compare_runs(run, run, metrics=["error_rate"], min_effect=None)
    assert "can't tell" in found.markdown
    judged = judge_run(run, None, ["error_rate > 99%"], allow_invalid=True)
    assert {one.outcome for one in judged} == {ConditionOutcome.PASSED}
    assert page_of([run]).startswith("<!doctype html>")
    text = export_of(run, "openmetrics").text
    assert text is not None
    assert text(run).endswith("# EOF\n")
    with pytest.raises(UsageError, match="unknown format 'markdwn'"):
        export_of(run, "markdwn")
