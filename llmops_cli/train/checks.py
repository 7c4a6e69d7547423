"""What does not divide or exclude one another, refused before any work."""

from __future__ import annotations

from llmops_cli.core.errors import UsageError
from llmops_cli.sizing.work import batches_that_divide
from llmops_cli.train.launch import Launch
from llmops_cli.train.recipe import TrainRecipe

TENSOR = frozenset({"tp", "fsdp+tp"})
PIPELINE = frozenset({"pp", "fsdp+pp"})
ZERO = frozenset({"zero1", "zero2", "zero3"})
SHARDED = frozenset({"fsdp", "hsdp", "fsdp+tp", "fsdp+pp"}) | ZERO


def check(recipe: TrainRecipe, launch: Launch) -> None:
    """`recipe` as it is planned: its strategy is no `auto` any more.

    Raises: UsageError with what would go.
    """
    _check_degrees(recipe, launch)
    _check_batch(recipe, launch)
    _check_offload(recipe)
    _check_length(recipe)


def _check_degrees(recipe: TrainRecipe, launch: Launch) -> None:
    world_size = launch.world_size
    if recipe.strategy == "single" and world_size > 1:
        raise UsageError(
            f"strategy 'single' is one process, and there are {world_size}",
            hint="--strategy ddp or fsdp, or leave --nproc out",
        )
    degrees = {
        "--tensor-parallel": (recipe.tensor_parallel, TENSOR),
        "--pipeline-parallel": (recipe.pipeline_parallel, PIPELINE),
        "--shard-size": (recipe.shard_size, frozenset({"hsdp"})),
    }
    for flag, (degree, strategies) in degrees.items():
        if degree is None:
            continue
        if degree > 1 and recipe.strategy not in strategies:
            known = ", ".join(sorted(strategies))
            raise UsageError(
                f"{flag} {degree} is for the strategies {known}, and this is {recipe.strategy}",
                hint=f"leave {flag} out, or --strategy {min(strategies)}",
            )
        if world_size % degree:
            raise UsageError(
                f"{flag} {degree} does not divide the {world_size} processes",
                hint=f"--nproc {degree} or a multiple of it",
            )


def shares_of(recipe: TrainRecipe, launch: Launch) -> int:
    """Into how many parts the rows of a batch are cut: ranks that read different ones."""
    together = (recipe.tensor_parallel or 1) * (recipe.pipeline_parallel or 1)
    if recipe.strategy == "tp":
        together = launch.world_size
    if recipe.strategy == "pp":
        together = launch.world_size
    return max(1, launch.world_size // together)


def _check_batch(recipe: TrainRecipe, launch: Launch) -> None:
    shares = shares_of(recipe, launch)
    parts = shares * recipe.accumulate
    if recipe.batch_size % parts:
        raise UsageError(
            f"--batch-size {recipe.batch_size} does not divide into {shares} shares of "
            f"{recipe.accumulate} parts",
            hint=batches_that_divide(
                recipe.batch_size, shares=shares, accumulate=recipe.accumulate
            ),
        )
    if recipe.strategy in PIPELINE and recipe.micro_batches:
        rows = recipe.batch_size // parts
        if rows % recipe.micro_batches:
            raise UsageError(
                f"--micro-batches {recipe.micro_batches} does not divide the {rows} rows that a "
                "pipeline takes at once",
                hint=f"--micro-batches {rows}, or another --batch-size",
            )


def _check_offload(recipe: TrainRecipe) -> None:
    if recipe.offload != "none" and recipe.strategy not in SHARDED:
        raise UsageError(
            f"--offload {recipe.offload} is for sharded strategies, and this is {recipe.strategy}",
            hint="--strategy fsdp or zero3",
        )


def _check_length(recipe: TrainRecipe) -> None:
    is_own = recipe.model is None and recipe.init is None
    if is_own and recipe.sequence_length > recipe.context:
        raise UsageError(
            f"--sequence-length {recipe.sequence_length} is beyond the model's context of "
            f"{recipe.context}",
            hint=f"--sequence-length {recipe.context}",
        )
