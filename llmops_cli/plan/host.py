"""Weights that stay in main memory: layers of llama.cpp (-ngl), or a part sent each step."""

from __future__ import annotations

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.plan.memory import BATCHED_TOKENS, GIB, MICRO_BATCH, card_other_bytes, rules_of
from llmops_cli.plan.recipe import PlanRecipe
from llmops_cli.sizing.devices import GIGA
from llmops_cli.sizing.load import ServingLoad
from llmops_cli.sizing.placement import HostPart, Placement

LLAMACPP = "llamacpp"


def check_offload(recipe: PlanRecipe, engine: str) -> None:
    """Raises: UsageError for an option that this engine has not."""
    if recipe.gpu_layers is not None and engine != LLAMACPP:
        raise UsageError(
            f"--gpu-layers is llama.cpp's, and the engine is {engine}",
            hint="--cpu-offload-gib, or --engine llamacpp",
        )
    if recipe.cpu_offload_gib is not None and engine == LLAMACPP:
        raise UsageError("llama.cpp leaves whole layers in main memory", hint="--gpu-layers N")
    if recipe.this_machine and (recipe.gpu_layers or recipe.cpu_offload_gib):
        raise UsageError("a processor has no other memory to offload to", hint="plan for a --gpu")


def with_host(
    recipe: PlanRecipe,
    load: ServingLoad,
    place: Placement,
    *,
    engine: str,
) -> Placement:
    """The placement with what stays in main memory, where anything does."""
    if place.device.is_cpu:
        return place
    if engine == LLAMACPP:
        return _with_layers(recipe, load, place)
    if recipe.cpu_offload_gib is None:
        return place
    return _with_sent(recipe, load, place)


def _with_sent(recipe: PlanRecipe, load: ServingLoad, place: Placement) -> Placement:
    """Each card has its part sent over its own link, and main memory feeds all of them."""
    assert recipe.cpu_offload_gib is not None
    weights = min(recipe.cpu_offload_gib * GIB * place.devices, load.weights_bytes * place.data)
    each = recipe.pcie_gb_per_s * GIGA * place.tensor
    speed = min(each, recipe.host_gb_per_s * GIGA / place.data)
    part = HostPart(
        weights_bytes=weights / place.data,
        bytes_per_s=speed,
        sent_bytes_per_s=speed,
        piece_tokens=BATCHED_TOKENS,
    )
    return msgspec.structs.replace(place, host=part)


def _with_layers(recipe: PlanRecipe, load: ServingLoad, place: Placement) -> Placement:
    """The processor computes a token's layers there; a prompt's weights are sent to the card."""
    count = card_layers(recipe, load, place)
    if count > load.layers:
        return place
    part = HostPart(
        weights_bytes=load.weights_bytes - count * _layer_bytes(load),
        bytes_per_s=recipe.host_gb_per_s * GIGA,
        sent_bytes_per_s=recipe.pcie_gb_per_s * GIGA,
        piece_tokens=MICRO_BATCH,
    )
    return msgspec.structs.replace(place, host=part)


def card_layers(recipe: PlanRecipe, load: ServingLoad, place: Placement) -> int:
    """llama.cpp's -ngl: layers on cards, each with its cache; one more than all is the head's."""
    if recipe.gpu_layers is not None:
        return min(recipe.gpu_layers, load.layers + 1)
    other = card_other_bytes(load, place, engine=LLAMACPP)
    left = place.device.memory_bytes * recipe.memory_share - other
    left *= place.tensor * place.pipeline
    wanted = -(-(recipe.concurrency or 1) // place.data)
    cache = load.allocated_bytes(recipe.context, rules_of(LLAMACPP)) * wanted
    if left >= load.weights_bytes + cache:
        return load.layers + 1
    return min(load.layers, max(0, int(left // (_layer_bytes(load) + cache / load.layers))))


def _layer_bytes(load: ServingLoad) -> float:
    return (load.weights_bytes - load.table_bytes - load.head_bytes) / load.layers
