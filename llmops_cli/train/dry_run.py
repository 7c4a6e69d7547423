"""`llmops train --dry-run`, `--strategy auto`: every strategy's needs before any is spent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.sizing.architecture import Architecture
from llmops_cli.sizing.choice import Choice, asked_for, choose
from llmops_cli.sizing.devices import Cluster, Device
from llmops_cli.sizing.families import architecture_of
from llmops_cli.sizing.figures import Figure
from llmops_cli.sizing.layout import Degrees, Layout
from llmops_cli.sizing.memory import DeviceMemory
from llmops_cli.sizing.options import Option, options_for
from llmops_cli.sizing.parameters import active_count, parameter_count
from llmops_cli.sizing.training_bands import training_figures
from llmops_cli.sizing.work import Work
from llmops_cli.train.recipe import TrainRecipe

AUTO = "auto"


class PerDeviceBytes(msgspec.Struct, frozen=True, kw_only=True):
    """Of the device that holds most. `total` is the sum of the parts before it."""

    weights: int
    gradients: int
    optimizer: int
    activations: int
    workspace: int
    communication: int
    framework: int
    total: int


class StrategyPlan(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One row of the table. `refused`: why it is not possible at all.

    figures: memory_bytes, step_s, tokens_per_s and mfu as measurements correct them, with bands.
    """

    fits: bool
    refused: str | None = None
    layout: Layout | None = None
    per_device_bytes: PerDeviceBytes | None = None
    host_bytes: int = 0
    step_s: float | None = None
    tokens_per_s: float | None = None
    tokens_per_s_band: tuple[float, float] | None = None
    mfu: float | None = None
    figures: dict[str, Figure] = msgspec.field(default_factory=dict)


class DryRun(msgspec.Struct, frozen=True, kw_only=True):
    """`chosen` is None where nothing fits; `advice` then says what would, else what is faster."""

    chosen: str | None
    reason: str
    advice: tuple[str, ...]
    strategies: dict[str, StrategyPlan]
    parameters: int
    active_parameters: int
    device: str
    device_bytes: int
    devices: int
    nodes: int
    work: Work
    notes: tuple[str, ...] = ()


def dry_run(recipe: TrainRecipe, config: Mapping[str, Any], cluster: Cluster) -> DryRun:
    """The table of all strategies, and the choice among them or of the one that is asked for.

    `config`: a config.json (Any: each architecture has fields of its own).
    Raises: UsageError for a config that is no decoder's.
    """
    architecture = architecture_of(config)
    work = work_of(recipe, cluster)
    degrees = degrees_of(recipe)
    options = options_for(architecture, work, cluster, degrees=degrees)
    choice = _choice(recipe, architecture, work, cluster, options=options)
    chosen = None if choice.option is None else choice.option.strategy
    return DryRun(
        chosen=chosen,
        reason=choice.reason,
        advice=choice.advice,
        strategies={option.strategy: _plan(option, cluster) for option in options},
        parameters=parameter_count(architecture),
        active_parameters=active_count(architecture),
        device=cluster.device.name,
        device_bytes=round(cluster.usable_bytes),
        devices=cluster.devices,
        nodes=cluster.nodes,
        work=work,
        notes=architecture.notes,
    )


def settled(recipe: TrainRecipe, found: DryRun) -> TrainRecipe:
    """The recipe with the strategy and the degrees that were chosen.

    Raises: UsageError if nothing fits, with what would.
    """
    if found.chosen is None:
        hint = "; or ".join(found.advice) or "a smaller model"
        raise UsageError(found.reason, hint=hint)
    layout = found.strategies[found.chosen].layout
    assert layout is not None
    return msgspec.structs.replace(
        recipe,
        strategy=found.chosen,
        tensor_parallel=layout.tensor if layout.tensor > 1 else recipe.tensor_parallel,
        pipeline_parallel=layout.pipeline if layout.pipeline > 1 else recipe.pipeline_parallel,
        micro_batches=_micro_batches(recipe, layout),
        shard_size=layout.shards if found.chosen == "hsdp" else recipe.shard_size,
    )


def _micro_batches(recipe: TrainRecipe, layout: Layout) -> int | None:
    if layout.pipeline == 1:
        return recipe.micro_batches
    return layout.micro_batches // recipe.accumulate


def demo_config(recipe: TrainRecipe) -> dict[str, Any]:  # Any: a config's values
    """Of the model that is made where neither a model nor a configuration is given."""
    return {
        "model_type": "llama",
        "vocab_size": recipe.vocab_size,
        "hidden_size": recipe.hidden_size,
        "intermediate_size": recipe.intermediate_size,
        "num_hidden_layers": recipe.layers,
        "num_attention_heads": recipe.heads,
        "num_key_value_heads": recipe.kv_heads,
        "max_position_embeddings": recipe.context,
        "tie_word_embeddings": True,
    }


def _choice(
    recipe: TrainRecipe,
    architecture: Architecture,
    work: Work,
    cluster: Cluster,
    *,
    options: tuple[Option, ...],
) -> Choice:
    degrees = degrees_of(recipe)
    if recipe.strategy == AUTO:
        return choose(architecture, work, cluster, options=options, degrees=degrees)
    for option in options:
        if option.strategy == recipe.strategy:
            return asked_for(
                architecture, work, cluster, option=option, options=options, degrees=degrees
            )
    raise UsageError(f"unknown strategy '{recipe.strategy}'")


def work_of(recipe: TrainRecipe, cluster: Cluster) -> Work:
    precision = recipe.precision
    if precision == AUTO:
        precision = "bf16" if _multiplies_bf16(cluster.device) else "f32"
    return Work(
        sequence_length=recipe.sequence_length,
        batch_size=recipe.batch_size,
        accumulate=recipe.accumulate,
        precision=precision,
        optimizer=recipe.optimizer,
        checkpointing=recipe.activation_checkpointing,
        attention="sdpa" if recipe.attention == AUTO else recipe.attention,
        has_ema=recipe.ema_decay > 0,
        is_packed=recipe.packing,
        is_compiled=recipe.compile,
    )


def _multiplies_bf16(device: Device) -> bool:
    return not device.is_cpu or device.bf16_flops != device.f32_flops


def degrees_of(recipe: TrainRecipe) -> Degrees:
    return Degrees(
        tensor=recipe.tensor_parallel,
        pipeline=recipe.pipeline_parallel,
        shard_size=recipe.shard_size,
        schedule=recipe.pipeline_schedule,
        micro_batches=recipe.micro_batches,
        offload=recipe.offload,
    )


def _plan(option: Option, cluster: Cluster) -> StrategyPlan:
    """Without an MFU on a processor, whose peak is not known well enough."""
    if option.memory is None or option.time is None:
        return StrategyPlan(fits=False, refused=option.refusal)
    assert option.layout is not None
    figures = training_figures(option.layout, option.memory, option.time, cluster.device.name)
    speed = figures["tokens_per_s"]
    if cluster.device.is_cpu:
        del figures["mfu"]
    return StrategyPlan(
        fits=option.fits,
        layout=option.layout,
        per_device_bytes=per_device(option.memory),
        host_bytes=round(option.memory.host),
        step_s=option.time.total_s,
        tokens_per_s=option.time.tokens_per_s,
        tokens_per_s_band=(float(speed.low or 0.0), float(speed.high or 0.0)),
        mfu=None if cluster.device.is_cpu else option.time.mfu,
        figures=figures,
    )


def per_device(memory: DeviceMemory) -> PerDeviceBytes:
    return PerDeviceBytes(
        weights=round(memory.weights),
        gradients=round(memory.gradients),
        optimizer=round(memory.optimizer),
        activations=round(memory.activations),
        workspace=round(memory.workspace),
        communication=round(memory.communication),
        framework=round(memory.framework),
        total=round(memory.total),
    )
