"""Conditions decide on the bound of an interval, and only if enough attempts were decided."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from llmops_cli.core.errors import EngineFailed, GateFailed, Interrupted, UsageError
from llmops_cli.redteam.conditions import (
    PlannedShares,
    parse_condition_of,
    possible_condition_of,
)
from llmops_cli.redteam.gates import RedteamProblem, error_of, problems_of
from llmops_cli.redteam.report import RedteamReport
from llmops_cli.runtime.outcomes import StopReason
from tests.unit.redteam.reports import report

FAMILIES = ("extraction",)


def kinds(found: RedteamReport, *texts: str) -> list[str]:
    conditions = [parse_condition_of(text, FAMILIES) for text in texts]
    return [problem.kind for problem in problems_of(found, conditions)]


def unanswered(found: RedteamReport, errors: int, planned: int) -> RedteamReport:
    """The same with so many attempts beside it that gave no answer."""
    overall = msgspec.structs.replace(
        found.overall,
        attempts=found.overall.attempts + errors,
        errors=errors,
        planned=planned,
    )
    return msgspec.structs.replace(
        found,
        attempts=overall.attempts,
        overall=overall,
        families={"extraction": overall},
        error_kinds={"timeout": errors},
    )


def test_a_condition_holds_only_where_the_whole_interval_is_beyond_it() -> None:
    assert kinds(report(3, 40), "asr.extraction > 5%") == []  # 7.5 %, but as low as 2.6 %
    assert kinds(report(12, 40), "asr.extraction > 5%") == [RedteamProblem.CONDITION_HOLDS]
    assert len(kinds(report(12, 40), "asr > 0.05", "asr < 0.9")) == 2


@pytest.mark.parametrize("text", ["asr >> 5", "speed > 3", "asr > 5 ms", "asr > +5%"])
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_condition_of(text, FAMILIES)


def test_an_unknown_family_gets_a_suggestion() -> None:
    with pytest.raises(UsageError, match="extractoin"):
        parse_condition_of("asr.extractoin > 5%", FAMILIES)


def test_a_target_that_is_gone_passes_no_condition() -> None:
    few = unanswered(report(0, 3), errors=37, planned=40)
    assert kinds(few, "asr.extraction > 5%") == [RedteamProblem.UNDECIDED]
    assert kinds(few, "errors > 99%") == []
    stopped = unanswered(report(0, 10), errors=0, planned=200)
    assert kinds(stopped, "asr > 5%") == [RedteamProblem.UNDECIDED]
    one = unanswered(report(0, 39), errors=1, planned=40)
    assert kinds(one, "asr.extraction > 5%") == [RedteamProblem.UNDECIDED]
    condition = parse_condition_of("asr.extraction > 5%", FAMILIES)
    assert problems_of(one, [condition], allow_undecided=0.03) == []
    assert problems_of(one, [condition], allow_undecided=0.02) != []


def test_what_nobody_could_judge_is_in_no_share_and_passes_nothing() -> None:
    overall = msgspec.structs.replace(
        report(2, 30).overall, attempts=40, planned=40, decided=30, undecided=10
    )
    found = msgspec.structs.replace(report(2, 30), attempts=40, overall=overall)
    assert kinds(found, "asr > 40%") == [RedteamProblem.UNDECIDED]
    assert kinds(found, "errors > 1%") == [RedteamProblem.CONDITION_HOLDS]


PLANNED = PlannedShares(families={"extraction": 40, "encoding": 2}, has_guard=False)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("asr > 5", "asr > 5 can never hold"),
        ("asr > 100%", "can never hold"),
        ("asr >= 100%", "can never hold"),
        ("asr < 0%", "can never hold"),
        ("asr <= 0%", "can never hold"),
        ("asr.encoding > 60%", "of 2 attempts all gives"),
        ("asr.encoding < 20%", "of 2 attempts none gives"),
        ("guarded_asr > 1%", "no guard is in front"),
        ("asr.extractoin > 5%", "unknown family 'extractoin'"),
        ("ars > 5%", "unknown metric 'ars'"),
    ],
)
def test_a_gate_that_can_never_fire_is_refused(text: str, words: str) -> None:
    with pytest.raises(UsageError) as refused:
        possible_condition_of(text, PLANNED)
    assert words in refused.value.message
    assert refused.value.hint


def test_a_gate_that_can_fire_is_taken() -> None:
    for text in ("asr > 5%", "asr.extraction < 10%", "errors > 0%", "refused > 0.9"):
        assert possible_condition_of(text, PLANNED).text == text


def test_a_condition_on_a_guard_that_was_not_there_fails() -> None:
    assert kinds(report(0, 40), "guarded_asr > 1%") == [RedteamProblem.UNDECIDED]


def test_each_problem_has_its_exit_code(tmp_path: Path) -> None:
    none = unanswered(report(0, 1), errors=39, planned=40)
    none = msgspec.structs.replace(
        none, overall=msgspec.structs.replace(none.overall, attempts=39, errors=39)
    )
    assert isinstance(error_of(problems_of(none), tmp_path), EngineFailed)
    condition = parse_condition_of("asr > 5%", FAMILIES)
    assert isinstance(error_of(problems_of(none, [condition]), tmp_path), GateFailed)
    interrupted = msgspec.structs.replace(none, stopped=StopReason.INTERRUPTED)
    assert isinstance(error_of(problems_of(interrupted, [condition]), tmp_path), Interrupted)
    assert error_of(problems_of(report(0, 40), [condition]), tmp_path) is None
