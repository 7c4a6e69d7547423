"""A recipe with its model, cards, engine and limits looked up."""

from __future__ import annotations

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.plan.devices import gpus_of
from llmops_cli.plan.fitted import read_groups
from llmops_cli.plan.memory import Room, cards_needed, room
from llmops_cli.plan.models import is_gguf_scheme, read_load
from llmops_cli.plan.recipe import PlanRecipe
from llmops_cli.plan.slo import Limits, read_limits
from llmops_cli.sizing.calibration import Correction, Group, correction
from llmops_cli.sizing.efficiency import efficiency_of
from llmops_cli.sizing.gpus import NamedGpus
from llmops_cli.sizing.load import ServingLoad
from llmops_cli.sizing.speed import Efficiency, Placement

MOST_SLOTS = 1024
"""Sequences at once that an engine is asked for at most."""
MOST_CARDS = 65_536
USUAL_OUTPUT = 256
LLAMACPP = "llamacpp"
VLLM = "vllm"


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """A recipe with everything looked up."""

    recipe: PlanRecipe
    load: ServingLoad
    place: Placement
    engine: str
    efficiency: Efficiency
    groups: tuple[Group, ...]
    room: Room
    limits: Limits
    output_tokens: int

    @property
    def machine(self) -> str:
        return self.place.gpu.name

    @property
    def prompt_tokens(self) -> int:
        return self.recipe.context - self.output_tokens

    def correction(self, quantity: str) -> Correction:
        return correction(self.groups, engine=self.engine, machine=self.machine, quantity=quantity)

    @property
    def can_run(self) -> bool:
        """llama.cpp leaves in main memory what a card cannot hold; others stop."""
        return self.slots >= 1 or self.engine == LLAMACPP

    @property
    def slots(self) -> int:
        """Sequences of the whole context that the pool holds."""
        each = self.load.cache_bytes(self.recipe.context)
        if each == 0:
            return MOST_SLOTS
        return int(self.room.pool // each)


def settle(recipe: PlanRecipe) -> Setting:
    """Raises: UsageError for a model, card, engine or limit that is not known."""
    if not recipe.model:
        raise UsageError("a plan needs a model", hint="llmops plan serve qwen3-8b --gpu l4")
    load = read_load(recipe.model, scheme=recipe.quant, cache_type=recipe.kv_type)
    cards = gpus_of(recipe)
    engine = recipe.engine or (LLAMACPP if is_gguf_scheme(load.scheme) else VLLM)
    place = _placement(recipe, load, cards)
    output_tokens = recipe.output_tokens or max(1, min(USUAL_OUTPUT, recipe.context // 4))
    if output_tokens >= recipe.context:
        raise UsageError(
            f"{output_tokens} tokens of an answer leave no room for a prompt in {recipe.context}",
            hint="a larger --context",
        )
    if recipe.rate is not None and recipe.concurrency is not None:
        raise UsageError("--rate and --concurrency are two kinds of load", hint="give one")
    return Setting(
        recipe=recipe,
        load=load,
        place=place,
        engine=engine,
        efficiency=efficiency_of(engine, cards.gpu.name),
        groups=read_groups(recipe.fitted),
        room=room(load, place, engine=engine, memory_share=recipe.memory_share),
        limits=read_limits(recipe.slo),
        output_tokens=output_tokens,
    )


def _placement(recipe: PlanRecipe, load: ServingLoad, cards: NamedGpus) -> Placement:
    count = recipe.gpus or (cards.count if cards.count > 1 else None)
    if count is None:
        cache = load.cache_bytes(recipe.context) * (recipe.concurrency or 1)
        count = cards_needed(
            load,
            cards.gpu.device.memory_bytes,
            cache_bytes=cache,
            memory_share=recipe.memory_share,
        )
        if recipe.this_machine:
            count = 1
    if count > MOST_CARDS:
        raise UsageError(
            f"{count:,} cards are more than any plan has",
            hint="fewer --gpus, a shorter --context or less --concurrency",
        )
    tensor = recipe.tensor_parallel or count
    if count % tensor:
        raise UsageError(
            f"{count} cards are no multiple of --tensor-parallel {tensor}",
            hint="what is left of them works as a pipeline",
        )
    return Placement(gpu=cards.gpu, tensor=tensor, pipeline=count // tensor)
