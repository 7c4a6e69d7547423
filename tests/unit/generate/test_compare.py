"""Two batches row by row: the same rows find each other, and only what is sure gets a verdict."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_cli.core.errors import UsageError
from llmops_cli.core.significance import mcnemar_p
from llmops_cli.generate.compare import RowDifference, RowsComparison
from llmops_cli.generate.row_keys import row_key
from llmops_cli.generate.rows import row_of
from llmops_cli.show.gates import ConditionOutcome
from llmops_cli.show.runs import OpenedRun, compare_runs, judge_run, open_run
from tests.chat_server import says, serving
from tests.unit.generate.batches import batch_row, run_batch, write_rows

ROWS = [f"question {number}" for number in range(24)]
PASSED = ConditionOutcome.PASSED
FAILED = ConditionOutcome.FAILED
UNKNOWN = ConditionOutcome.UNKNOWN


def ran(
    folder: Path,
    *,
    rows: list[object] | None = None,
    refused: range = range(0),
    tokens: int = 10,
    delay_s: float = 0.0,
    **fields: object,
) -> OpenedRun:
    """A run of a model that refuses rows of these numbers, and takes so long for each."""
    folder.mkdir()
    source = write_rows(folder / "in.jsonl", ROWS if rows is None else rows)  # type: ignore[arg-type]

    def answer(number: int) -> object:
        time.sleep(delay_s)
        said = json.loads(server.bodies[number])["messages"][-1]["content"]
        if int(said.split()[-1]) in refused:
            return 400, {"error": {"message": "no"}}
        return says("x", prompt_tokens=3, completion_tokens=tokens)

    with serving(lambda _: says("x"), model="m") as server:
        server.answer = answer  # type: ignore[assignment]
        run_batch(source, folder / "out.jsonl", server.url, **fields)  # type: ignore[arg-type]
    return open_run(folder / "run")


def compared(baseline: OpenedRun, run: OpenedRun) -> RowsComparison:
    found = compare_runs(baseline, run, metrics=[], min_effect=None)
    assert isinstance(found.result, RowsComparison)
    assert "| answered |" in found.markdown
    return found.result


def measure(found: RowsComparison, name: str, kind: str = "") -> RowDifference:
    (one,) = [each for each in found.measures if (each.measure, each.kind) == (name, kind)]
    return one


def test_a_run_that_answers_less_and_says_more_is_told_row_by_row(tmp_path: Path) -> None:
    prices = {"price_in": 1.0, "price_out": 1.0}
    good = ran(tmp_path / "good", **prices)
    bad = ran(tmp_path / "bad", refused=range(12), tokens=20, **prices)
    found = compared(good, bad)
    assert (found.rows, found.alone_baseline, found.alone_run) == (24, 0, 0)
    answered = measure(found, "answered")
    assert (answered.change, answered.p, answered.verdict) == (-0.5, 2 / 2**12, "worse")
    assert answered.ci95[0] < -0.5 < answered.ci95[1] < 0
    assert measure(found, "errors", "http 400").run == 0.5
    said = measure(found, "output_tokens")
    assert (said.rows, said.baseline, said.run, said.change) == (12, 10, 20, 1.0)
    assert said.verdict == "more"
    assert measure(found, "input_tokens").verdict == "can't tell"
    assert measure(found, "cost").change == pytest.approx(10 / 13)
    assert measure(found, "seconds").rows == 12


def test_rows_of_one_run_do_not_tell_how_much_another_run_of_the_same_would_differ(
    tmp_path: Path,
) -> None:
    quick = ran(tmp_path / "quick")
    slow = ran(tmp_path / "slow", delay_s=0.01)
    found = compared(quick, slow)
    seconds = measure(found, "seconds")
    assert seconds.run > seconds.baseline
    assert (seconds.ci95, seconds.p, seconds.verdict) == (None, None, "as measured")
    assert measure(found, "answered").p_adjusted == 1.0


def test_the_gate_takes_a_baseline_and_its_own_conditions(tmp_path: Path) -> None:
    good = ran(tmp_path / "good")
    bad = ran(tmp_path / "bad", refused=range(12), tokens=20)
    conditions = ["worse > 0", "answered < -5%", "errors > 60%", "tokens > -20%"]
    judged = judge_run(bad, good, conditions, allow_invalid=False)
    assert [each.outcome for each in judged] == [FAILED, FAILED, PASSED, FAILED]
    same = judge_run(good, good, ["worse > 0", "answered < 50%"], allow_invalid=False)
    assert [each.outcome for each in same] == [PASSED, PASSED]
    alone = judge_run(bad, None, ["errors > 40%"], allow_invalid=False)
    assert [each.outcome for each in alone] == [FAILED]


def test_a_batch_that_was_stopped_is_compared_on_what_it_asked(tmp_path: Path) -> None:
    whole = ran(tmp_path / "whole")
    part = ran(tmp_path / "part", max_requests=9)
    found = compare_runs(whole, part, metrics=[], min_effect=None)
    assert isinstance(found.result, RowsComparison)
    assert measure(found.result, "answered").rows == 9
    assert "15 of 24 rows were not asked" in found.warnings[0]
    judged = judge_run(part, whole, ["worse > 0"], allow_invalid=False)
    assert judged[0].outcome is UNKNOWN


def test_what_cannot_be_paired_is_refused_in_one_line(tmp_path: Path) -> None:
    first = ran(tmp_path / "first")
    other = ran(tmp_path / "other", rows=["another 1", "another 2"])
    with pytest.raises(UsageError, match="no row in common") as refused:
        compared(first, other)
    assert "what they ask" in str(refused.value.hint)
    with pytest.raises(UsageError, match="unknown metric"):
        compare_runs(first, first, metrics=["ttft_ms"], min_effect=None)
    (first.path / "rows.jsonl").unlink()
    with pytest.raises(UsageError, match="one by one"):
        compared(first, other)
    for line in (b"{}\n", b'{"key": "\xff"}\n', b"[" * 100_000):
        (first.path / "rows.jsonl").write_bytes(line)
        with pytest.raises(UsageError, match="line 1: no record"):
            compared(first, other)


def test_a_question_that_comes_twice_is_two_rows(tmp_path: Path) -> None:
    twice = ran(tmp_path / "twice", rows=["same 1", "same 1", "same 2"])
    once = ran(tmp_path / "once", rows=["same 1", "same 2"])
    found = compared(twice, once)
    assert (found.rows, found.alone_baseline, found.alone_run) == (2, 1, 0)


def test_a_row_is_what_it_asks_in_any_form_and_of_any_model() -> None:
    asked = [{"role": "user", "content": "question 1"}]
    same = [
        "question 1",
        {"text": "question 1", "id": 7},
        {"messages": asked},
        {"messages": [{"content": "question 1", "role": "user"}], "answer": 1},
        batch_row(1, model="a"),
        batch_row(1, model="b", temperature=1.0, max_tokens=5),
    ]
    assert len({row_key(row_of(row)) for row in same}) == 1
    batch = batch_row(1)
    vectors = {**batch, "url": "/v1/embeddings", "body": {"input": "question 1"}}
    others = ["question 2", {"messages": asked * 2}, vectors, batch_row(1, tools=[{}])]
    assert len({row_key(row_of(row)) for row in [same[0], *others]}) == 5


def test_rows_of_earlier_parts_keep_their_time(tmp_path: Path) -> None:
    ran(tmp_path / "run", refused=range(12))
    with serving(lambda _: says("x"), model="m") as server:
        source = tmp_path / "run/in.jsonl"
        run_batch(source, tmp_path / "run/out.jsonl", server.url, retry_errors=True)
    lines = (tmp_path / "run/run/rows.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    assert len(records) == 24
    assert all(seconds > 0 and not error for _, _, _, seconds, error in records)


@given(st.integers(1001, 3000), st.integers(0, 3000))
def test_a_large_mcnemar_is_the_exact_one(count: int, wins: int) -> None:
    wins %= count + 1
    tail = sum(math.comb(count, hits) for hits in range(min(wins, count - wins) + 1))
    exact = min(1.0, 2 * tail / (1 << count))
    assert mcnemar_p(wins, count - wins) == pytest.approx(exact, rel=1e-9, abs=1e-300)


def test_a_batch_of_a_hundred_thousand_rows_is_judged_at_once() -> None:
    assert mcnemar_p(50_000, 49_000) == pytest.approx(0.00150, abs=0.0001)
