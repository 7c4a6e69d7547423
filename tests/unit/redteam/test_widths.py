"""A red-team run on a narrow terminal."""

from __future__ import annotations

import msgspec
import pytest
from rich.console import Console

from llmops_cli.redteam.compare import comparison_table
from llmops_cli.redteam.report import ChecklistItem
from llmops_cli.redteam.show import DROPPABLE, checklist_table, redteam_table
from llmops_cli.show.tables import Narrowed
from tests.unit.redteam.reports import report


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_share_stays_whole_with_its_interval_and_the_guards(width: int) -> None:
    found = report(9, 17)
    family = msgspec.structs.replace(
        found.overall, guarded_asr=0.0588, guarded_ci95=(0.01, 0.27), blocked=8
    )
    found = msgspec.structs.replace(found, overall=family, families={"extraction": family})
    console = Console(width=width)
    with console.capture() as caught:
        console.print(Narrowed(redteam_table(found), droppable=DROPPABLE))
    shown = caught.get()
    assert "extraction" in shown
    assert "share" in shown
    assert "…" not in shown


def test_what_is_missing_stands_beside_its_name_where_rows_are_stacked() -> None:
    item = ChecklistItem(area="access", name="rate limits are told", ok=False, seen="no headers")
    console = Console(width=30)
    with console.capture() as caught:
        console.print(checklist_table([item]))
    lines = [line.split() for line in caught.get().splitlines()]
    assert ["there", "MISSING"] in lines


def test_every_column_of_a_comparison_has_a_name() -> None:
    table = comparison_table(report(9, 17), report(2, 17))
    assert all(column.header for column in table.columns)
