"""Saved runs paired case by case: what is surely worse, and what nobody can tell."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_cli.core.case_names import named_cases
from llmops_cli.core.errors import UsageError
from llmops_cli.show.gates import ConditionOutcome
from llmops_cli.show.paired import PairedColumn, PairedRun, compare_paired
from llmops_cli.show.paired_gate import judge_paired
from llmops_cli.show.paired_tables import compared

PASSED = ConditionOutcome.PASSED
FAILED = ConditionOutcome.FAILED
UNKNOWN = ConditionOutcome.UNKNOWN


def column(passes: list[bool | None], *parts: str, tokens: float = 100) -> PairedColumn:
    """None: no verdict."""
    shares = {f"c{n}": float(each) for n, each in enumerate(passes) if each is not None}
    rate = sum(shares.values()) / len(shares) if shares else None
    return PairedColumn(
        parts=parts or ("p", "m"),
        shares=shares,
        n=len(shares),
        errors=len(passes) - len(shares),
        rate=rate,
        ci95=None if rate is None else (rate - 0.1, rate + 0.1),
        figures={"tokens": tokens, "cost": None},
    )


def run_of(*columns: PairedColumn, name: str = "run", digests: str = "d") -> PairedRun:
    cases = {f"c{number}": digests for number in range(24)}
    return PairedRun(name=name, measure="pass_rate", columns=columns, digests=cases)


GOOD = [True] * 24
BAD = [True] * 12 + [False] * 12


def test_a_run_that_is_surely_worse_fails_the_gate_and_says_by_how_much() -> None:
    base = run_of(column(GOOD), name="base")
    bad = run_of(column(BAD, tokens=130))
    found = compare_paired(base, bad).columns[0]
    assert (found.difference, found.only_baseline, found.only_run) == (-0.5, 12, 0)
    assert found.ci95[0] < -0.5 < found.ci95[1] < 0
    assert found.p == pytest.approx(2 / 2**12)
    assert found.verdict == "worse"
    conditions = [
        "worse > 0",
        "pass_rate < -5%",
        "pass_rate < -60%",
        "tokens > +20%",
        "tokens > 50",
    ]
    judged = judge_paired(bad, base, conditions, allow_invalid=False)
    assert [each.outcome for each in judged] == [FAILED, FAILED, PASSED, FAILED, FAILED]
    same = judge_paired(base, base, ["worse > 0", "pass_rate < -0%"], allow_invalid=False)
    assert [each.outcome for each in same] == [PASSED, PASSED]


def test_a_difference_by_chance_fails_nothing() -> None:
    base = run_of(column(GOOD))
    other = run_of(column([False, *GOOD[1:]]))
    conditions = ["worse > 0", "pass_rate < -1%"]
    judged = judge_paired(other, base, conditions, allow_invalid=False)
    assert [each.outcome for each in judged] == [PASSED, PASSED]
    assert "within chance" in judged[1].text


def test_a_run_without_verdicts_does_not_pass() -> None:
    base = run_of(column(GOOD), column(GOOD, "p", "other"))
    gone = run_of(column(GOOD), column([None] * 24, "p", "other"))
    judged = judge_paired(gone, base, ["worse > 0", "pass_rate < 50%"], allow_invalid=False)
    assert {each.load for each in judged if each.fails} == {"p · other"}
    part = run_of(column([None, *GOOD[1:]]))
    judged = judge_paired(part, run_of(column(GOOD)), ["worse > 0"], allow_invalid=False)
    assert judged[0].outcome is UNKNOWN
    assert "1 cases that the baseline decided" in judged[0].text
    allowed = judge_paired(part, run_of(column(GOOD)), ["worse > 0"], allow_invalid=True)
    assert [each.outcome for each in allowed] == [PASSED]


def test_a_column_that_is_gone_or_new_does_not_pass() -> None:
    base = run_of(column(GOOD, "p", "m"), column(GOOD, "p", "other"), name="base")
    gone = run_of(column(GOOD, "p", "m"))
    conditions = ["worse > 0", "pass_rate < -5%"]
    judged = judge_paired(gone, base, conditions, allow_invalid=False)
    assert [each.load for each in judged if each.fails] == ["p · other"]
    old = run_of(column(GOOD, "p@1", "m"), column(GOOD, "q@2", "m"), name="base")
    changed = run_of(column(GOOD, "p@1", "m"), column([False] * 24, "q@3", "m"))
    judged = judge_paired(changed, old, ["worse > 0"], allow_invalid=False)
    assert {each.load for each in judged if each.fails} == {"q@2 · m", "q@3 · m"}


@pytest.mark.parametrize(("cases", "outcome"), [(5, UNKNOWN), (6, FAILED)])
def test_too_few_cases_to_be_sure_are_called_so(cases: int, outcome: ConditionOutcome) -> None:
    base = run_of(column([True] * cases))
    bad = run_of(column([False] * cases))
    judged = judge_paired(bad, base, ["worse > 0", "pass_rate < -5%"], allow_invalid=False)
    assert [each.outcome for each in judged] == [outcome, outcome]


def test_cases_that_changed_under_their_name_are_told() -> None:
    base = run_of(column(GOOD))
    other = run_of(column(GOOD), digests="other")
    assert compare_paired(base, other).changed == 24
    judged = judge_paired(other, base, ["worse > 0"], allow_invalid=False)
    assert judged[0].outcome is UNKNOWN


def test_columns_are_paired_by_what_tells_them_apart() -> None:
    old = run_of(column(GOOD, "old", "a"), column(BAD, "old", "b"))
    new = run_of(column(GOOD, "new", "b"), column(GOOD, "new", "a"))
    found = compare_paired(old, new).columns
    assert [(each.baseline, each.run) for each in found] == [
        ("old · b", "new · b"),
        ("old · a", "new · a"),
    ]
    other = run_of(column(GOOD, "x", "c"), column(GOOD, "y", "d"))
    with pytest.raises(UsageError, match="nothing of one name"):
        compare_paired(old, other)


@pytest.mark.parametrize(
    "text",
    [
        "pass_rate < 0%",
        "worse > 5",
        "tokens > 5%",
        "worse > +5%",
        "errors > +5%",
        "cost > 1s",
        "x > 1",
    ],
)
def test_conditions_that_can_tell_nothing_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        judge_paired(run_of(column(GOOD)), run_of(column(GOOD)), [text], allow_invalid=False)


def test_a_change_needs_a_baseline() -> None:
    for text in ("worse > 0", "pass_rate < -5%"):
        with pytest.raises(UsageError, match="something to compare with"):
            judge_paired(run_of(column(GOOD)), None, [text], allow_invalid=False)


def test_markdown_has_the_figures() -> None:
    base = run_of(column(GOOD), name="a|b")
    shown = compared(base, run_of(column(BAD)), None)
    assert "-50.0%" in shown.markdown
    assert shown.markdown.count("\n") == 3


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xy")), max_size=8))
def test_named_cases_have_names_of_their_own(cases: list[tuple[str, str]]) -> None:
    found = named_cases([title for title, _ in cases], [digest for _, digest in cases])
    assert len({each.name for each in found}) == len(cases)
    assert [each.digest for each in found] == [digest for _, digest in cases]
