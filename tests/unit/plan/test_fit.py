"""`llmops plan fit` and `compare`: bench runs correct a plan; cards side by side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from llmops_cli.core.errors import UsageError
from llmops_cli.plan.compare import compare_plans
from llmops_cli.plan.fit import fit_results, raw_service, read_bench
from llmops_cli.plan.fitted import write_fit
from llmops_cli.plan.recipe import PlanRecipe
from llmops_cli.plan.report import ServePlan
from llmops_cli.plan.run import plan_serve

SIM_RUN = Path(__file__).parents[2] / "golden" / "reports" / "llmops.bench-2.json"
"""Two streams of the simulated engine, whose tokens come every 4 ms."""


def _run(tmp_path: Path, name: str, **changes: Any) -> Path:
    """The saved run with other fields of its first level, or of its machine."""
    report = json.loads(SIM_RUN.read_text())
    report["manifest"]["hardware"] |= changes.pop("hardware", {})
    report["levels"][0] |= changes
    file = tmp_path / f"{name}.json"
    file.write_text(json.dumps(report))
    return file


def _serve(fitted: Path | None, *, streams: int = 2) -> ServePlan:
    recipe = PlanRecipe(
        model="qwen2.5-0.5b",
        gpu="l4",
        engine="sim",
        context=60,
        output_tokens=8,
        concurrency=streams,
        fitted=None if fitted is None else str(fitted),
    )
    return plan_serve(recipe).plan


def test_a_plan_after_a_fit_is_where_the_simulated_truth_is(tmp_path: Path) -> None:
    runs = [_run(tmp_path, f"run{number}") for number in range(5)]
    found = fit_results(runs, model="qwen2.5-0.5b", gpu="l4", quant=None)
    file = tmp_path / "fit.json"
    write_fit(file, found)
    before = abs(_serve(None).tpot_ms.number - 4)
    plan = _serve(file)
    assert abs(plan.tpot_ms.number - 4) < min(before, 1.2)
    assert "fitted on 5 measurements" in plan.tpot_ms.source


def test_a_run_over_several_cards_is_fitted_as_such(tmp_path: Path) -> None:
    """A step of two cards is about half of one's, which is no merit of the engine."""
    report = json.loads(SIM_RUN.read_text())
    runs = []
    for ways in (1, 2):
        report["manifest"]["recipe"]["options"] = {"tensor_parallel": ways}
        runs.append(tmp_path / f"run{ways}.json")
        runs[-1].write_text(json.dumps(report))
    one, two = (read_bench(run, model="qwen2.5-7b", gpu="l4", quant=None) for run in runs)
    assert (one.place.tensor, two.place.tensor) == (1, 2)
    steps = [raw_service(bench, bench.levels[0]).step_s(1) for bench in (one, two)]
    assert steps[1] < 0.7 * steps[0]


def test_a_run_of_another_machine_is_refused_unless_its_card_is_said(tmp_path: Path) -> None:
    run = _run(tmp_path, "other", hardware={"cpu_model": "Another Processor 9000"})
    with pytest.raises(UsageError, match="another machine"):
        fit_results([run], model="qwen2.5-0.5b", gpu=None, quant=None)
    assert fit_results([run], model="qwen2.5-0.5b", gpu="l4", quant=None).groups


def test_a_run_with_nothing_to_learn_is_one_line(tmp_path: Path) -> None:
    run = _run(tmp_path, "broken", valid=False, invalid_reasons=["late"])
    with pytest.raises(UsageError, match="no closed level"):
        fit_results([run], model="qwen2.5-0.5b", gpu="l4", quant=None)
    other = SIM_RUN.parent / "llmops.convert-1.json"
    with pytest.raises(UsageError, match="no bench run"):
        fit_results([other], model="qwen2.5-0.5b", gpu="l4", quant=None)


def _many_streams(tmp_path: Path, name: str, **changes: Any) -> Path:
    """Eight streams: each token after 10 ms, prompts between, no warm-up in the figures."""
    times = {"mean": 10.0, "p50": 10.0, "min": 10.0, "max": 10.0, "count": 40}
    level = {
        "concurrency": 8,
        "requests": 42,
        "errors": 0,
        "error_kinds": {},
        "measured": 40,
        "input_tokens": 40 * 52,
        "output_tokens": 40 * 8,
        "output_tokens_per_s": 600.0,
        "ttft_ms": {name: 3 * value for name, value in times.items()} | {"count": 40},
        "tpot_ms": times,
    }
    return _run(tmp_path, name, **(level | changes))


def test_after_a_fit_many_streams_have_the_tokens_a_second_that_were_measured(
    tmp_path: Path,
) -> None:
    """Also where the time a token has a stall in it."""
    runs = [
        _many_streams(tmp_path, f"run{number}", output_tokens_per_s=tokens_per_s)
        for number, tokens_per_s in enumerate((590.0, 600.0, 610.0, 605.0, 595.0))
    ]
    found = fit_results(runs, model="qwen2.5-0.5b", gpu="l4", quant=None)
    file = tmp_path / "fit.json"
    write_fit(file, found)
    throughput = _serve(file, streams=8).throughput_tps
    assert throughput.number == pytest.approx(600, rel=0.1)
    assert throughput.low is not None
    assert throughput.high is not None
    assert throughput.low < 600 < throughput.high < 1.8 * throughput.low


def test_tokens_are_of_the_requests_that_were_measured(tmp_path: Path) -> None:
    """Warm-ups and failures have none in the sums."""
    bench = read_bench(_many_streams(tmp_path, "run"), model="qwen2.5-0.5b", gpu="l4", quant=None)
    (level,) = bench.levels
    assert (level.prompt_tokens, level.output_tokens) == (52, 8)


def test_a_level_whose_requests_failed_tells_nothing(tmp_path: Path) -> None:
    run = _many_streams(tmp_path, "run", requests=62, errors=20, error_kinds={"HTTP 503": 20})
    with pytest.raises(UsageError, match="no closed level"):
        fit_results([run], model="qwen2.5-0.5b", gpu="l4", quant=None)


CARD = {"model": "qwen2.5-0.5b", "gpu": "l4", "quant": None}


def test_a_fit_beside_other_constants_is_refused_with_the_command_that_makes_it_anew(
    tmp_path: Path,
) -> None:
    run = _run(tmp_path, "a run")
    file = tmp_path / "fit.json"
    write_fit(file, fit_results([run], **CARD))
    assert _serve(file).tpot_ms.number
    told = json.loads(file.read_text())
    before = {key: value for key, value in told.items() if key != "constants"}
    for old in (told | {"constants": "0" * 16}, before | {"schema": "llmops.plan-fit/1"}):
        file.write_text(json.dumps(old))
        with pytest.raises(UsageError, match="other constants") as error:
            _serve(file)
        assert error.value.hint == f"llmops plan fit '{run}' -o {file}"


def test_compared_plans_stand_by_cost_and_what_does_not_fit_is_last() -> None:
    recipe = PlanRecipe(model="llama-3.1-70b", gpus=1, concurrency=8)
    details = compare_plans(recipe, gpus=["h100", "b200", "b300"], quants=["BF16", "FP8"])
    assert len(details) == 6
    fitting = [each for each in details if each.plan.fits.value]
    assert 0 < len(fitting) < 6
    assert details[: len(fitting)] == fitting
    costs = [each.plan.cost_per_million_tokens.number for each in fitting]
    assert costs == sorted(costs)
