"""`llmops report` does with a red-team run what it does with others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from llmops_cli.core.errors import UsageError
from llmops_cli.show.runs import OpenedRun, compare_runs, export_of, judge_run
from tests.unit.redteam.reports import report


def run(successes: int, n: int = 100) -> OpenedRun:
    return OpenedRun(name="run", path=Path("nowhere"), report=report(successes, n))


@pytest.mark.parametrize(
    ("condition", "outcome"),
    [
        ("asr > 5%", "failed"),
        ("asr.extraction > 5%", "failed"),
        ("asr > 60%", "passed"),
        ("refused > 50%", "passed"),
    ],
)
def test_a_gate_judges_as_the_run_itself_would(condition: str, outcome: str) -> None:
    (judged,) = judge_run(run(40), None, [condition], allow_invalid=False)
    assert judged.outcome == outcome


def test_a_condition_that_can_never_hold_is_refused() -> None:
    with pytest.raises(UsageError, match="can never hold"):
        judge_run(run(0, 3), None, ["asr > 90%"], allow_invalid=False)


def test_families_are_compared_beyond_chance() -> None:
    compared = compare_runs(run(5), run(60), metrics=[], min_effect=None)
    assert "worse" in compared.markdown
    with pytest.raises(UsageError, match="unknown metric"):
        compare_runs(run(5), run(60), metrics=["ttft_ms"], min_effect=None)


def test_a_run_goes_to_code_scanning_and_to_a_builds_tests(tmp_path: Path) -> None:
    found = OpenedRun(name="run", path=tmp_path, report=report(1, 10))
    sarif = export_of(found, "sarif").text
    junit = export_of(found, "junit").text
    assert sarif is not None
    assert junit is not None
    assert json.loads(sarif(found))["version"] == "2.1.0"
    assert "1 of 10 attempts succeed" in junit(found)


def test_a_form_of_other_runs_is_told_from_a_misspelt_one(tmp_path: Path) -> None:
    found = OpenedRun(name="run", path=tmp_path, report=report(1, 10))
    with pytest.raises(UsageError, match="a run of redteam has no parquet"):
        export_of(found, "parquet")
    with pytest.raises(UsageError, match="unknown format 'pdf'"):
        export_of(found, "pdf")
