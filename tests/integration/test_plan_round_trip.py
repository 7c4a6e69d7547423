"""Plan, bench what was planned, fit, plan again: against `sim`, whose truth is its options'."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from llmops_cli.gateway_file.read import read_file
from tests.conftest import Cli

STEP_MS = 10.0
FIRST_MS = 30.0
STREAMS = 4
OUTPUT = 24
PLAN = [
    "plan",
    "serve",
    "qwen2.5-0.5b",
    *("--engine", "sim", "--gpu", "l4", "--context", "64", "--output-tokens", str(OUTPUT)),
    *("--concurrency", str(STREAMS)),
]


def test_a_plan_that_was_benched_and_fitted_tells_the_truth(cli: Cli, tmp_path: Path) -> None:
    values = tmp_path / "values"
    before = _json(cli(*PLAN, "--values", str(values), "--json"))
    run = cli(
        *("bench", "--recipe", str(values / "bench.yaml"), "--requests", "12", "--warmup", "2"),
        *("--set", f"itl_ms={STEP_MS}", "--set", f"ttft_ms={FIRST_MS}"),
        *("--allow-invalid", "-o", str(tmp_path / "run")),
    )
    assert run.returncode == 0, run.stderr
    fitted = tmp_path / "fit.json"
    fit = cli(
        *("plan", "fit", str(tmp_path / "run"), "--model", "qwen2.5-0.5b", "--gpu", "l4"),
        *("-o", str(fitted)),
    )
    assert fit.returncode == 0, fit.stderr
    after = _json(cli(*PLAN, "--fitted", str(fitted), "--json"))
    step = after["tpot_ms"]
    assert _error(step["value"], STEP_MS) < _error(before["tpot_ms"]["value"], STEP_MS)
    assert step["low"] <= STEP_MS <= step["high"]
    assert "fitted on" in step["source"]
    assert "extrapolated" in before["tpot_ms"]["source"]
    speed = STREAMS * OUTPUT / (FIRST_MS + (OUTPUT - 1) * STEP_MS) * 1000
    before_error = _error(before["throughput_tps"]["value"], speed)
    assert _error(after["throughput_tps"]["value"], speed) < before_error


def test_the_files_are_those_that_serve_and_deploy_take(cli: Cli, tmp_path: Path) -> None:
    values = tmp_path / "values"
    plan = _json(
        cli(
            *("plan", "serve", "llama-3.1-70b", "--gpu", "h100", "--gpus", "8"),
            *("--concurrency", "64", "--values", str(values), "--json"),
        )
    )
    config = read_file(values / "gateway.yaml").config
    upstream = config.upstreams["planned"]
    assert upstream.engine == "vllm"
    assert upstream.model == "meta-llama/Llama-3.1-70B"
    assert list(config.models) == ["llama-3.1-70b"]
    assert upstream.replicas * int(upstream.options["tensor_parallel"]) == 8
    assert int(upstream.options["max_num_seqs"]) * upstream.replicas == 64
    assert json.loads((values / "plan.json").read_text()) == plan


@pytest.mark.parametrize(
    ("wishes", "said"),
    [
        (["llama-3.1-405b", "--gpus", "1"], "does not fit"),
        (["qwen3-8b", "--engine", "sglang"], "starts no sglang"),
        (["deepseek-r1-distill-llama-8b"], "cannot find it by that name"),
        (
            ["deepseek-v3", "--gpus", "16", "--quant", "FP8", "--expert-parallel", "16"],
            "whole experts",
        ),
    ],
)
def test_what_cannot_be_deployed_is_one_line(
    cli: Cli, tmp_path: Path, wishes: list[str], said: str
) -> None:
    values = tmp_path / "values"
    run = cli("plan", "serve", *wishes, "--gpu", "h100", "--values", str(values))
    assert run.returncode == 2
    assert said in run.stderr
    assert not values.exists()


def _json(run: Any) -> dict[str, Any]:  # Any: a finished process; figures
    assert run.returncode == 0, run.stderr
    return dict(json.loads(run.stdout))


def _error(value: float, truth: float) -> float:
    return abs(value - truth) / truth
