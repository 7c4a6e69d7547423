"""Comparisons of runs whose truth is known, and the conditions of a gate."""

from __future__ import annotations

import random
from pathlib import Path

import msgspec
import pytest

from llmops_cli.bench.analysis import Repetition, analyse
from llmops_cli.bench.arrivals import Load
from llmops_cli.bench.compare import compare
from llmops_cli.bench.gate import judge_conditions, parse_gate
from llmops_cli.bench.record import Record
from llmops_cli.bench.record_table import save_csv
from llmops_cli.bench.report import BenchReport, Comparison, Difference
from llmops_cli.bench.saved import SavedRun, load_run
from llmops_cli.bench.trust import changed, unlike, untrusted
from llmops_cli.bench.words import change_words, disagreement_words
from llmops_cli.core.errors import UsageError
from llmops_cli.core.report import Manifest, Memory

MS = 1_000_000
LOAD = Load(kind="burst", label="burst", count=0)


def run_of(
    folder: Path,
    *,
    seed: int,
    factor: float = 1.0,
    count: int = 400,
    errors: int = 0,
    repeats: int = 1,
    drift: float = 0.0,
    spread: float = 0.4,
    **manifest: object,
) -> SavedRun:
    """Skewed latencies; `drift` is how much whole repetitions differ from one another."""
    folder.mkdir()
    rng = random.Random(seed)
    all_records = []
    for repetition in range(repeats):
        slow = factor * (1 + drift * rng.uniform(-1, 1))
        for i in range(count):
            ttft = 50 * rng.lognormvariate(0, spread) * slow
            start = i * 10 * MS
            failed = i < errors
            all_records.append(
                Record(
                    index=i,
                    repetition=repetition,
                    intended_ns=start,
                    sent_ns=start,
                    status=200,
                    first_ns=None if failed else start + int(ttft * MS),
                    end_ns=None if failed else start + int((ttft + 100) * MS),
                    done_ns=start + int((ttft + 100) * MS),
                    output_tokens=0 if failed else 11,
                    error="HTTP 500: no" if failed else None,
                )
            )
    parts = [
        Repetition(records=lambda r=r: [x for x in all_records if x.repetition == r])
        for r in range(repeats)
    ]
    level = analyse(LOAD, parts)
    recipe: dict[str, object] = {"model": "m", "backend": "sim", "burst": count, "seed": 0}
    report = BenchReport(
        manifest=Manifest(**{"recipe": recipe, "hardware": {"cpu_model": "a"}, **manifest}),  # type: ignore[arg-type]
        levels=[level],
        memory=Memory(),
    )
    save_csv(all_records, [LOAD], [level], folder)
    return load_run(folder, report)


def verdicts(a: SavedRun, b: SavedRun) -> dict[str, str]:
    return {d.metric: d.verdict for d in compare(a, b).differences}


@pytest.mark.slow
def test_the_same_run_twice_raises_few_alarms(tmp_path: Path) -> None:
    alarms = 0
    for seed in range(20):
        a, b = (
            run_of(tmp_path / f"{side}{seed}", seed=seed * 2 + side, count=130, repeats=3)
            for side in (0, 1)
        )
        alarms += set(verdicts(a, b).values()) != {"can't tell"}
    assert alarms <= 3  # 5 % of 20 is one; four are seen once in 60 such sets


def test_a_change_is_found_with_its_size(tmp_path: Path) -> None:
    a = run_of(tmp_path / "a", seed=1, repeats=3)
    b = run_of(tmp_path / "b", seed=2, factor=1.2, repeats=3)
    found = {d.metric: d for d in compare(a, b).differences}
    ttft = found["ttft_ms.p50"]
    assert ttft.verdict == "slower"
    assert ttft.ratio_ci95 is not None
    assert ttft.ratio_ci95[0] < 1.2 < ttft.ratio_ci95[1]
    assert ttft.superiority is not None
    assert 0.3 < ttft.superiority < 0.45
    assert found["tpot_ms.p50"].verdict == "can't tell"
    assert verdicts(b, a)["ttft_ms.p50"] == "faster"


def test_tails_need_enough_requests(tmp_path: Path) -> None:
    few = verdicts(
        run_of(tmp_path / "a", seed=1, count=120), run_of(tmp_path / "b", seed=2, count=120)
    )
    many = verdicts(
        run_of(tmp_path / "c", seed=1, count=1200), run_of(tmp_path / "d", seed=2, count=1200)
    )
    assert "ttft_ms.p50" in few
    assert "ttft_ms.p95" not in few
    assert "ttft_ms.p99" in many


@pytest.mark.slow
def test_drift_between_repetitions_is_no_difference(tmp_path: Path) -> None:
    alarms = 0
    for seed in range(10):
        a = run_of(tmp_path / f"a{seed}", seed=seed, repeats=4, drift=0.3, count=200)
        b = run_of(tmp_path / f"b{seed}", seed=seed + 100, repeats=4, drift=0.3, count=200)
        alarms += verdicts(a, b)["ttft_ms.p50"] != "can't tell"
    assert alarms <= 2


def test_more_errors_are_worse_and_warnings_name_what_differs(tmp_path: Path) -> None:
    a = run_of(tmp_path / "a", seed=1, repeats=3)
    b = run_of(
        tmp_path / "b",
        seed=1,
        errors=40,
        repeats=3,
        hardware={"cpu_model": "b"},
        versions={"torch": "2"},
        complete=False,
    )
    assert verdicts(a, b)["error_rate"] == "more errors"
    words = " | ".join(compare(a, b).warnings)
    for part in (
        "hardware differs: cpu_model a -> b",
        "version differs: torch none -> 2",
        "b is partial",
    ):
        assert part in words


def outcomes(a: SavedRun | None, b: SavedRun, *conditions: str) -> list[str]:
    return [
        judged.outcome
        for judged in judge_conditions(b, a, [parse_gate(text) for text in conditions])
    ]


def test_a_gate_fails_on_a_real_regression_only(tmp_path: Path) -> None:
    a = run_of(tmp_path / "a", seed=1, repeats=3)
    same = run_of(tmp_path / "same", seed=2, repeats=3)
    slow = run_of(tmp_path / "slow", seed=3, factor=1.3, repeats=3)
    assert (
        outcomes(a, same, "ttft_ms.p50 > +10%", "ttft_ms.p95 > +10%", "error_rate > +1%")
        == ["passed"] * 3
    )
    assert outcomes(a, slow, "ttft_ms.p50 > +10%") == ["failed"]
    assert outcomes(a, slow, "ttft_ms.p50 > +60%") == ["passed"]
    assert outcomes(slow, a, "ttft_ms.p50 > +10%") == ["passed"]
    assert outcomes(None, slow, "ttft_ms.p50 > 40", "ttft_ms.p50 > 100", "error_rate > 1%") == [
        "failed",
        "passed",
        "passed",
    ]
    few = run_of(tmp_path / "few", seed=4, count=50)
    assert outcomes(a, few, "ttft_ms.p99 > +10%") == ["unknown"]
    with pytest.raises(UsageError, match="needs something to compare"):
        outcomes(None, slow, "ttft_ms.p50 > +10%")


def test_one_run_on_each_side_is_no_verdict_and_fails_a_gate(tmp_path: Path) -> None:
    a = run_of(tmp_path / "a", seed=1)
    slow = run_of(tmp_path / "slow", seed=2, factor=2.0, errors=100, repeats=2)
    assert set(verdicts(a, slow).values()) == {"can't tell"}
    assert "fewer than 3 repetitions" in " ".join(compare(a, slow).warnings)
    (judged,) = judge_conditions(slow, a, [parse_gate("ttft_ms.p50 > +10%")])
    assert judged.outcome == "unknown"
    assert judged.fails
    assert "--repeats 3" in judged.text


def test_runs_without_their_requests_compare_level_by_level(tmp_path: Path) -> None:
    a = run_of(tmp_path / "a", seed=1, repeats=3)
    b = run_of(tmp_path / "b", seed=2, repeats=3, factor=2.0)
    old = msgspec.structs.replace(a, requests=None)
    found = {one.metric: one for one in compare(old, b).differences}
    ttft = found["ttft_ms.p50"]
    assert ttft.ratio == pytest.approx(2, rel=0.1)
    assert (ttft.ratio_ci95, ttft.verdict) == (None, "can't tell")
    assert change_words(ttft)[1] == "unknown"
    assert outcomes(old, b, "ttft_ms.p50 > +10%", "ttft_ms.p50 > +500%") == ["unknown"] * 2


def test_a_gate_sees_a_load_that_is_gone(tmp_path: Path) -> None:
    a = run_of(tmp_path / "a", seed=1, repeats=3)
    b = run_of(tmp_path / "b", seed=2, repeats=3)
    lost = msgspec.structs.replace(b, report=msgspec.structs.replace(b.report, levels=[]))
    assert outcomes(a, lost, "ttft_ms.p50 > +10%", "error_rate > 1%") == ["unknown"] * 2
    assert outcomes(None, lost, "error_rate > 1%") == ["unknown"]


@pytest.mark.parametrize("condition", ["ttft_ms.p99 > 5", "ttft_ms.p95 > 5", "ttft_ms.p90 > 5"])
def test_a_limit_is_not_judged_without_an_interval(tmp_path: Path, condition: str) -> None:
    few = run_of(tmp_path / "few", seed=1, count=20)
    (judged,) = judge_conditions(few, None, [parse_gate(condition)])
    assert judged.outcome == "unknown"
    assert "--requests" in judged.text


def test_unlike_work_or_machines_fail_a_gate_and_a_new_version_warns(tmp_path: Path) -> None:
    a = run_of(tmp_path / "a", seed=1)
    b = run_of(
        tmp_path / "b",
        seed=1,
        recipe={"model": "m", "backend": "sim", "burst": 400, "output_tokens": 8},
        hardware={"cpu_model": "b"},
        versions={"vllm": "2"},
    )
    assert list(unlike(a, a)) == []
    found = {one.condition: one.outcome for one in (*unlike(b, a), *changed(b, a))}
    assert found == {
        "same workload": "unknown",
        "same machine": "unknown",
        "same versions": "warned",
    }


def test_a_gate_does_not_trust_partial_or_invalid_runs(tmp_path: Path) -> None:
    assert untrusted(run_of(tmp_path / "a", seed=1)) == []
    (judged,) = untrusted(run_of(tmp_path / "b", seed=1, complete=False))
    assert judged.outcome == "failed"


@pytest.mark.parametrize(
    "text",
    [
        "ttft_ms > +10%",
        "ttft_ms.p42 > +10%",
        "ttft > 5",
        "ttft_ms.p95 = 5",
        "ttft_ms.p95 < +10%",
        "ttft_ms.p95 > +10",
        "ttft_ms.p95 > 10%",
        "error_rate.p50 > 1%",
        "itl_ms.p95 > +10%",
        "output_tokens_per_s > -5%",
        "ttft_ms.mean > 5",
        "output_tokens_per_s < 50ms",
    ],
)
def test_conditions_without_a_meaning_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_gate(text)


@pytest.mark.parametrize(
    "text", ["ttft_ms.p95 > 1.5s", "ttft_ms.p95 > 1500ms", "ttft_ms.p95 > 1500"]
)
def test_a_limit_has_any_unit_of_time(text: str) -> None:
    assert parse_gate(text).limit == 1500


def test_a_latency_without_its_statistic_is_asked_which() -> None:
    with pytest.raises(UsageError) as told:
        parse_gate("ttft_ms > 10")
    assert (told.value.hint or "").startswith("for example ttft_ms.p95")


@pytest.mark.parametrize("repeats", [1, 3])
@pytest.mark.parametrize("spread", [0.0, 0.4])
def test_a_run_does_not_differ_from_itself(tmp_path: Path, spread: float, repeats: int) -> None:
    run = run_of(tmp_path / "a", seed=1, spread=spread, repeats=repeats)
    found = compare(run, run).differences
    assert {one.metric: one.p for one in found if one.p != 1} == {}
    assert not any("-0.0%" in word for one in found for word in change_words(one))


def test_an_interval_that_seems_to_contradict_its_verdict_is_explained() -> None:
    sure = Difference(
        load="1 stream",
        metric="ttft_ms.p95",
        baseline=100.0,
        current=122.4,
        ratio=1.224,
        ratio_ci95=(1.103, 1.358),
        p=0.094,
    )
    unsure = msgspec.structs.replace(sure, ratio_ci95=(0.9, 1.4))
    judged = msgspec.structs.replace(sure, p=0.001)
    told = [
        disagreement_words(Comparison(baseline="a", current="b", differences=[one]))
        for one in (sure, unsure, judged)
    ]
    assert [words is not None for words in told] == [True, False, False]
