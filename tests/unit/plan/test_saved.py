"""Plans that are kept: read again, listed, compared and drawn."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmops_cli.core.errors import UsageError
from llmops_cli.plan.recipe import PlanRecipe
from llmops_cli.plan.run import plan_serve
from llmops_cli.plan.saved import keep
from llmops_cli.runtime.manifest import RunClock
from llmops_cli.show.runs import compare_runs, open_run, page_of, run_list, table_of


def _kept(folder: Path, quant: str) -> Path:
    recipe = PlanRecipe(model="qwen3-8b", gpu="h100", gpus=1, quant=quant, concurrency=8)
    return keep(folder / quant, recipe, {}, plan_serve(recipe), RunClock())


def test_a_kept_plan_is_read_listed_and_drawn(tmp_path: Path) -> None:
    run = open_run(_kept(tmp_path, "BF16"))
    recipe = PlanRecipe(model="qwen3-8b", gpu="h100", gpus=1, quant="BF16", concurrency=8)
    assert run.report.detail == plan_serve(recipe)
    (row,) = run_list([run])
    assert row["kind"] == "plan"
    assert row["model"] == "qwen3-8b"
    assert table_of(run.report) is not None
    assert "throughput_tps" in page_of([run])


def test_two_plans_side_by_side_say_what_changed_and_whether_bands_meet(tmp_path: Path) -> None:
    runs = [open_run(_kept(tmp_path, quant)) for quant in ("BF16", "FP8")]
    compared = compare_runs(runs[0], runs[1], metrics=["weights_bytes", "fits"], min_effect=None)
    assert isinstance(compared.result, list)
    weights, fits = compared.result
    assert weights.change == pytest.approx(-0.42, abs=0.02)
    assert weights.overlaps is False
    assert fits.change is None
    assert "weights_bytes" in compared.markdown
    with pytest.raises(UsageError, match="unknown figure"):
        compare_runs(runs[0], runs[1], metrics=["speed"], min_effect=None)


def test_a_folder_that_holds_a_run_is_left_alone(tmp_path: Path) -> None:
    _kept(tmp_path, "BF16")
    with pytest.raises(UsageError, match="holds a run already"):
        _kept(tmp_path, "BF16")
