"""`llmops plan fit` and `compare`: bench runs correct a plan; cards side by side."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import msgspec
import pytest

from llmops_cli.core.errors import UsageError
from llmops_cli.plan.bench_runs import read_bench
from llmops_cli.plan.compare import compare_plans
from llmops_cli.plan.fit import fit_results, raw_service
from llmops_cli.plan.fitted import write_fit
from llmops_cli.plan.recipe import PlanRecipe
from llmops_cli.plan.report import ServePlan
from llmops_cli.plan.run import plan_serve
from llmops_cli.sizing.queueing import Service, closed_loop

SIM_RUN = Path(__file__).parents[2] / "golden" / "reports" / "llmops.bench-2.json"
"""Two streams of the simulated engine, whose tokens come every 4 ms."""


def _run(tmp_path: Path, name: str, **changes: Any) -> Path:
    """The saved run with other fields of its first level, or of its machine."""
    report = json.loads(SIM_RUN.read_text())
    report["manifest"]["hardware"] |= changes.pop("hardware", {})
    report["manifest"]["recipe"]["options"] |= changes.pop("options", {})
    report["manifest"]["recipe"]["url"] = changes.pop("url", None)
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


def test_what_a_run_does_not_tell_is_said_by_a_flag_that_the_error_names(tmp_path: Path) -> None:
    run = _run(tmp_path, "sim")
    run.write_text(run.read_text().replace('"model": "demo"', '"model": "ours-v3"'))
    with pytest.raises(UsageError, match="a model that is not known here") as caught:
        fit_results([run], model=None, gpu="l4", quant=None)
    assert (caught.value.hint or "").startswith("--model NAME or FOLDER says which, --quant")
    other = _run(tmp_path, "card", hardware={"gpus": [{"name": "Odd Card 9000"}]})
    with pytest.raises(UsageError, match="a card that is not known here") as caught:
        fit_results([other], model="qwen2.5-0.5b", gpu=None, quant=None)
    assert (caught.value.hint or "").startswith("--gpu says which it is like")
    assert fit_results([other], model="qwen2.5-0.5b", gpu="l4", quant=None).groups


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
PROMPT = 52
OUTPUT = 100
EXACT = 1e-6


def _service(tmp_path: Path, *, slots: int) -> Service:
    """What is predicted before any fit."""
    bench = read_bench(_run(tmp_path, "predicted", options={"max_num_seqs": str(slots)}), **CARD)
    level = msgspec.structs.replace(
        bench.levels[0], streams=slots, prompt_tokens=PROMPT, output_tokens=OUTPUT
    )
    return raw_service(bench, level)


def _as_predicted(tmp_path: Path, name: str, *, streams: int, slots: int, **changes: Any) -> Path:
    """A server with so many slots whose prompts and steps take what is predicted."""
    found = closed_loop(_service(tmp_path, slots=slots), streams)
    count = 40
    level = {
        "concurrency": streams,
        "requests": count,
        "errors": 0,
        "error_kinds": {},
        "measured": count,
        "input_tokens": count * PROMPT,
        "output_tokens": count * OUTPUT,
        "output_tokens_per_s": found.tokens_per_s,
        "ttft_ms": _all(1000 * found.ttft_s, count),
        "tpot_ms": _all(1000 * found.tpot_s, count),
    }
    return _run(tmp_path, name, **(level | changes))


def _all(value: float, count: int) -> dict[str, float]:
    return dict.fromkeys(("mean", "p50", "min", "max"), value) | {"count": count}


def _ratios(run: Path) -> dict[str, float]:
    groups = fit_results([run], **CARD).groups
    return {each.quantity: math.exp(each.shift) for each in groups}


@pytest.mark.parametrize("url", [None, "http://127.0.0.1:8000"])
def test_requests_that_wait_for_a_slot_tell_no_prefill_and_no_batch(
    tmp_path: Path, url: str | None
) -> None:
    """Whether a server of somebody else has fewer slots, or ours has no memory for more."""
    run = _as_predicted(tmp_path, "run", streams=16, slots=4, url=url)
    with pytest.raises(UsageError, match="had a slot"):
        fit_results([run], **CARD)


def test_slots_that_the_run_s_options_tell_are_counted(tmp_path: Path) -> None:
    slots = {"max_num_seqs": "4"}
    run = _as_predicted(tmp_path, "run", streams=16, slots=4, options=slots)
    assert _ratios(run) == {"batch": pytest.approx(1, rel=EXACT)}


def test_several_streams_tell_prefill_only_if_they_surely_have_slots(tmp_path: Path) -> None:
    ours = _as_predicted(tmp_path, "ours", streams=16, slots=16)
    one = pytest.approx(1, rel=EXACT)
    assert _ratios(ours) == {"batch": one, "prefill": one}
    theirs = _as_predicted(tmp_path, "theirs", streams=16, slots=16, url="http://127.0.0.1:8000")
    assert _ratios(theirs) == {"batch": one}


def test_a_rate_that_no_step_gives_is_no_measurement(tmp_path: Path) -> None:
    """Prompts alone would take longer than all of it."""
    run = _as_predicted(tmp_path, "run", streams=16, slots=16, output_tokens_per_s=1e9)
    with pytest.raises(UsageError, match="no closed level"):
        fit_results([run], **CARD)


def test_tokens_that_were_thought_and_not_sent_count_as_steps(tmp_path: Path) -> None:
    """Three of four: bench's rates have the others only, and the first of these waits for them."""
    found = closed_loop(_service(tmp_path, slots=8), 8)
    hidden = 3 * OUTPUT // 4
    thought = {
        "hidden_tokens": 40 * hidden,
        "output_tokens_per_s": found.tokens_per_s / 4,
        "ttft_ms": _all(1000 * (found.ttft_s + hidden * found.tpot_s), 40),
    }
    several = _as_predicted(tmp_path, "several", streams=8, slots=8, **thought)
    assert _ratios(several) == {"batch": pytest.approx(1, rel=EXACT)}
    each = {"rates_each": {"output_tokens_per_s": [found.tokens_per_s / 4] * 3}}
    repeated = _as_predicted(tmp_path, "repeated", streams=8, slots=8, **thought, **each)
    assert _ratios(repeated) == {"batch": pytest.approx(1, rel=EXACT)}
    alone = closed_loop(_service(tmp_path, slots=1), 1)
    thought["output_tokens_per_s"] = alone.tokens_per_s / 4
    thought["ttft_ms"] = _all(1000 * (alone.ttft_s + hidden * alone.tpot_s), 40)
    one = _as_predicted(tmp_path, "one", streams=1, slots=1, **thought)
    assert set(_ratios(one)) == {"decode"}, "its first token tells no prefill"


def test_repetitions_without_a_token_tell_nothing(tmp_path: Path) -> None:
    each = {"rates_each": {"output_tokens_per_s": [0.0, 0.0, 9.0]}}
    run = _as_predicted(tmp_path, "run", streams=8, slots=8, **each)
    with pytest.raises(UsageError, match="no closed level"):
        fit_results([run], **CARD)


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
