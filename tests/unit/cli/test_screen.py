"""Progress where there is no terminal: lines that a log can hold."""

from __future__ import annotations

import pytest
from rich.table import Table

from llmops_cli.cli.screen import TerminalProgress, print_table


def test_a_stage_says_its_beginning_and_its_end_once(capsys: pytest.CaptureFixture[str]) -> None:
    with TerminalProgress() as progress:
        progress.update("1 stream", 0, 50, "ETA 0:12")
        for done in (10, 49, 50, 50):
            progress.update("1 stream", done, 50)
        progress.update("4 streams", 0, 50)
        progress.update("4 streams", 50, 50)
    assert capsys.readouterr().err.splitlines() == [
        "1 stream 0%, ETA 0:12",
        "1 stream 100%",
        "4 streams 0%",
        "4 streams 100%",
    ]


def test_a_stage_that_begins_anew_ends_anew(capsys: pytest.CaptureFixture[str]) -> None:
    with TerminalProgress() as progress:
        for _ in range(2):
            progress.update("2/s", 0, 30)
            progress.update("2/s", 30, 30)
    assert capsys.readouterr().err.splitlines() == ["2/s 0%", "2/s 100%"] * 2


def test_a_stage_that_says_nothing_itself_has_its_eta(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock_s = 100.0
    monkeypatch.setattr("time.monotonic", lambda: clock_s)
    with TerminalProgress() as progress:
        progress.update("attempts", 10, 110)
        clock_s += 20
        progress.update("attempts", 30, 110)
        clock_s += 20
        progress.update("attempts", 50, 110, "two at once")
    assert capsys.readouterr().err.splitlines() == [
        "attempts 9%",
        "attempts 27%, ETA 1:20",
        "attempts 45%, two at once",
    ]


def test_columns_asks_for_a_width_where_there_is_no_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    table = Table("what", "words")
    table.add_row("one", " ".join(["word"] * 40))
    widths = {}
    for columns in ("60", "", "wide", "0"):
        monkeypatch.setenv("COLUMNS", columns)
        print_table(table)
        lines = capsys.readouterr().out.splitlines()
        widths[columns] = max(map(len, lines))
    assert widths["60"] <= 60
    assert 100 < widths[""] <= 180
    assert widths["wide"] == widths["0"] == widths[""]


def test_a_table_that_is_too_wide_is_never_cut(capsys: pytest.CaptureFixture[str]) -> None:
    figures = [f"{number:,}.123456" for number in range(1_000_000, 1_000_020)]
    table = Table(*[f"figure {number}" for number in range(20)])
    table.add_row(*figures)
    print_table(table)
    shown = capsys.readouterr().out
    for figure in figures:
        assert figure in shown
