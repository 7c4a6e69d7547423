"""Tables on terminals of any width: no figure is cut, and nothing is left out in silence."""

from __future__ import annotations

import pytest
from rich.console import Console
from rich.table import Table

from llmops_cli.show.tables import Narrowed

FIGURES = ("1,234.5", "0.000123", "-11.0% to +12.4%", "987.65")


def drawn(width: int, *droppable: str) -> str:
    table = Table(title="a run", caption="what it means")
    table.add_column("load", no_wrap=True)
    for name in ("one", "two", "interval", "last"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_row("2 streams", *FIGURES)
    console = Console(width=width, record=True, color_system=None)
    with console.capture() as caught:
        console.print(Narrowed(table, droppable=droppable))
    return caught.get()


@pytest.mark.parametrize("width", [30, 40, 50, 60, 80, 100, 120])
def test_no_figure_is_cut_at_any_width(width: int) -> None:
    shown = drawn(width)
    for figure in FIGURES:
        assert figure in shown
    assert "…" not in shown
    assert max(map(len, shown.splitlines())) <= width


def test_columns_go_in_their_order_and_are_named() -> None:
    wide = drawn(100, "two", "one")
    assert "no room" not in wide
    shown = drawn(45, "two", "one")
    assert "no room for: two\n" in shown
    assert FIGURES[1] not in shown
    for figure in (FIGURES[0], FIGURES[2], FIGURES[3]):
        assert figure in shown


def test_rows_are_stacked_with_all_they_have_where_dropping_does_not_do() -> None:
    shown = drawn(30, "two")
    assert "no room" not in shown
    lines = [line.split(maxsplit=1) for line in shown.splitlines() if line.strip()]
    assert ["interval", "-11.0% to +12.4%"] in [[part.strip() for part in line] for line in lines]
    assert FIGURES[1] in shown


def test_a_narrow_column_comes_back_where_a_wide_one_left_room() -> None:
    table = Table("name", "narrow", "wide")
    table.add_row("first", "12", "a figure of some length, 123,456")
    console = Console(width=30, color_system=None)
    with console.capture() as caught:
        console.print(Narrowed(table, droppable=("narrow", "wide")))
    shown = caught.get()
    assert "12" in shown
    assert "no room for: wide\n" in shown


def test_names_with_words_fold_and_are_not_stacked() -> None:
    table = Table("name", "what it is", show_header=False)
    table.add_row("environment", "llamacpp, which is here, and has been for a week")
    console = Console(width=40, color_system=None)
    with console.capture() as caught:
        console.print(Narrowed(table))
    shown = caught.get()
    assert "what it is" not in shown
    assert next(line for line in shown.splitlines() if "environment" in line).count("llamacpp") == 1
    assert max(map(len, shown.splitlines())) <= 40


def test_words_above_and_below_are_as_wide_as_the_terminal() -> None:
    table = Table("load", title="what was measured, and on which machine")
    table.caption = "p99 needs more requests than there were"
    table.add_row("2")
    console = Console(width=60, color_system=None)
    with console.capture() as caught:
        console.print(Narrowed(table))
    lines = [line.rstrip() for line in caught.get().splitlines()]
    assert lines[0] == "what was measured, and on which machine"
    assert lines[-1] == "p99 needs more requests than there were"


def test_a_dumb_terminal_has_a_width_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("FORCE_COLOR", "1")
    figures = [f"{number}.123456" for number in range(10, 22)]
    table = Table(*[f"figure {number}" for number in range(12)])
    table.add_row(*figures)
    console = Console(width=80, height=25)
    with console.capture() as caught:
        console.print(Narrowed(table))
    for figure in figures:
        assert figure in caught.get()
