"""The table and the choice of `llmops train --dry-run`."""

from __future__ import annotations

import msgspec
import pytest
from rich.console import Console

from llmops_cli.core.errors import UsageError
from llmops_cli.sizing.layout import STRATEGIES
from llmops_cli.train.cluster import cluster_of
from llmops_cli.train.dry_run import DryRun, demo_config, dry_run, settled
from llmops_cli.train.plan_table import render
from llmops_cli.train.recipe import TrainRecipe
from tests.unit.sizing.configs import LLAMA_3_8B, LLAMA_3_70B, Config

SHORT = {"sequence_length": 2048, "batch_size": 16, "optimizer": "adamw", "accumulate": 1}


def _dry(
    config: Config, *, gpu: str = "h100", nproc: int = 8, nnodes: int = 1, **wishes: object
) -> DryRun:
    recipe = TrainRecipe(**{**SHORT, **wishes})  # type: ignore[arg-type]
    return dry_run(recipe, config, cluster_of(gpu=gpu, nproc=nproc, nnodes=nnodes))


def test_others_read_the_choice_and_each_part_of_each_strategy() -> None:
    found = msgspec.to_builtins(_dry(LLAMA_3_8B))
    assert found["chosen"] == "fsdp"
    assert "fsdp over 8: " in found["reason"]
    assert tuple(found["strategies"]) == STRATEGIES
    for plan in found["strategies"].values():
        if "refused" in plan:
            assert plan["fits"] is False
            continue
        sizes = plan["per_device_bytes"]
        parts = [size for name, size in sizes.items() if name != "total"]
        assert {"weights", "gradients", "optimizer", "activations", "total"} <= set(sizes)
        assert sizes["total"] == pytest.approx(sum(parts), abs=8)


def test_what_is_asked_for_is_not_changed() -> None:
    found = _dry(LLAMA_3_8B, strategy="zero3")
    assert found.chosen == "zero3"
    assert found.reason.startswith("zero3 over 8")


def test_what_cannot_fit_is_refused_with_what_would() -> None:
    found = _dry(LLAMA_3_8B, strategy="ddp")
    assert found.chosen is None
    recipe = TrainRecipe(**SHORT)  # type: ignore[arg-type]
    with pytest.raises(UsageError) as error:
        settled(recipe, found)
    assert error.value.hint == "--strategy fsdp"


def test_the_recipe_gets_the_degrees_that_were_chosen() -> None:
    found = _dry(
        LLAMA_3_70B, nnodes=4, strategy="fsdp+tp", activation_checkpointing="full", batch_size=32
    )
    recipe = settled(TrainRecipe(**SHORT), found)  # type: ignore[arg-type]
    assert recipe.strategy == "fsdp+tp"
    assert recipe.tensor_parallel in {2, 4, 8}


def test_the_demo_is_single_on_a_processor() -> None:
    recipe = TrainRecipe()
    found = dry_run(recipe, demo_config(recipe), cluster_of(gpu="cpu", nproc=1, nnodes=1))
    assert found.chosen == "single"
    assert found.parameters == 1_443_072


def test_the_table_names_each_strategy_and_the_reason() -> None:
    console = Console(width=220)
    with console.capture() as capture:
        console.print(render(_dry(LLAMA_3_8B, gpu="a100", batch_size=12)))
    text = capture.get()
    assert "8,030,261,248 parameters; 8 x a100-80" in text
    assert "zero3: a batch of 12 rows" in text
    assert "nothing fits" in text or "over 8" in text


def test_a_reason_of_several_strategies_is_told_once() -> None:
    recipe = TrainRecipe()
    found = dry_run(recipe, demo_config(recipe), cluster_of(gpu="cpu", nproc=1, nnodes=1))
    console = Console(width=220)
    with console.capture() as capture:
        console.print(render(found))
    (line,) = [line for line in capture.get().splitlines() if "several processes" in line]
    for name in STRATEGIES:
        assert (name in line.partition(":")[0].split(", ")) == (name != "single")


def test_a_narrow_terminal_has_fewer_columns_and_no_figure_is_cut() -> None:
    console = Console(width=60)
    with console.capture() as capture:
        console.print(render(_dry(LLAMA_3_8B, gpu="a100")))
    text = capture.get()
    assert "…" not in text
    assert "fsdp+tp" in text
    assert "GB a device" in text
    assert "communication" not in text.split("fsdp over")[0]


def test_an_unknown_gpu_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="unknown GPU"):
        cluster_of(gpu="h900", nproc=1, nnodes=1)


def test_micro_batches_are_those_that_divide_the_rows() -> None:
    found = _dry(LLAMA_3_8B, strategy="pp", batch_size=24, activation_checkpointing="full")
    recipe = settled(TrainRecipe(**SHORT), found)  # type: ignore[arg-type]
    assert recipe.pipeline_parallel == 8
    assert recipe.micro_batches == 12


def test_each_strategy_has_figures_with_bands() -> None:
    for plan in _dry(LLAMA_3_8B).strategies.values():
        if plan.refused is not None:
            assert plan.figures == {}
            continue
        assert set(plan.figures) == {"memory_bytes", "step_s", "tokens_per_s", "mfu"}
        for figure in plan.figures.values():
            assert figure.low is not None
            assert figure.high is not None
            assert figure.low < figure.number <= figure.high
            assert figure.source
        speed = plan.figures["tokens_per_s"]
        assert plan.tokens_per_s_band == (speed.low, speed.high)
