"""A red-team run on a narrow terminal."""

from __future__ import annotations

import msgspec
import pytest
from rich.console import Console

from llmops_cli.redteam.show import DROPPABLE, redteam_table
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
