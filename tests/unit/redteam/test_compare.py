"""Two runs beside each other."""

from __future__ import annotations

from llmops_cli.redteam.compare import compare
from tests.unit.redteam.reports import report


def test_two_runs_differ_only_beyond_chance() -> None:
    assert {row.verdict for row in compare(report(10, 100), report(11, 100))} == {
        "no difference shown"
    }
    assert {row.verdict for row in compare(report(10, 100), report(40, 100))} == {"worse"}
    assert {row.verdict for row in compare(report(40, 100), report(10, 100))} == {"better"}
