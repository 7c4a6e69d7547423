"""The recipe as the worker reads it: every field has a value."""

from __future__ import annotations

import math

import msgspec

from llmops_cli.train.launch import Launch
from llmops_cli.train.recipe import TrainRecipe

Json = dict[str, object]
WARMUP_SHARE = 0.03
LEAST_SHARED_FLOPS = 6e7
"""Of one token, in a model of 10M parameters. Threads of a smaller one mostly wake one another:
the demo trains 1.3 times as fast on one as on two, for two thirds of the CPU time."""


def settings_of(
    recipe: TrainRecipe,
    launch: Launch,
    *,
    model: str | None,
    rows_per_epoch: int,
    cores: int,
    flops_per_token: float,
) -> Json:
    """`recipe` as it is planned. `model`: its folder. `rows_per_epoch`: samples or packed rows.

    `flops_per_token`: 0 where nobody knows.
    """
    fields: Json = dict(msgspec.to_builtins(recipe))
    steps = recipe.steps
    if steps is None:
        assert recipe.epochs is not None
        steps = max(1, math.ceil(recipe.epochs * rows_per_epoch / recipe.batch_size))
    warmup_steps = recipe.warmup_steps
    if warmup_steps is None:
        warmup_steps = round(WARMUP_SHARE * steps)
    stages = recipe.pipeline_parallel or 1
    fields |= {
        "model": model,
        "steps": steps,
        "warmup_steps": warmup_steps,
        "tensor_parallel": recipe.tensor_parallel or 1,
        "pipeline_parallel": stages,
        "micro_batches": recipe.micro_batches or 2 * stages,
        "shard_size": recipe.shard_size or launch.ranks_here,
        "threads": recipe.threads or _threads(cores // launch.ranks_here, flops_per_token),
    }
    return fields


def _threads(cores: int, flops_per_token: float) -> int:
    if 0 < flops_per_token < LEAST_SHARED_FLOPS:
        return 1
    return max(1, cores)
