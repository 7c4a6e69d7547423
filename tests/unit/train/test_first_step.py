"""The plan at the size of what really ran."""

from __future__ import annotations

from llmops_cli.train.cluster import cluster_of
from llmops_cli.train.dry_run import demo_config, dry_run
from llmops_cli.train.first_step import planned_for_pass
from llmops_cli.train.recipe import TrainRecipe


def test_a_shorter_pass_keeps_fewer_activations_and_the_same_states() -> None:
    recipe = TrainRecipe()
    config = demo_config(recipe)
    cluster = cluster_of(gpu="cpu", nproc=1, nnodes=1)
    found = dry_run(recipe, config, cluster)
    whole = found.strategies["single"].per_device_bytes
    assert whole is not None
    rows = recipe.batch_size // recipe.accumulate
    same = planned_for_pass(
        found, config, cluster, strategy="single", rows=rows, tokens=recipe.sequence_length
    )
    assert same == whole
    half = planned_for_pass(
        found, config, cluster, strategy="single", rows=rows, tokens=recipe.sequence_length // 2
    )
    assert half is not None
    assert half.weights == whole.weights
    assert half.activations < whole.activations
    assert planned_for_pass(found, config, cluster, strategy="pp", rows=1, tokens=1) is None
