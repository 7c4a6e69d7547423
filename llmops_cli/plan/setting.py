"""A recipe with its model, cards, engine and limits looked up."""

from __future__ import annotations

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.plan.devices import gpus_of
from llmops_cli.plan.fitted import read_groups
from llmops_cli.plan.host import LLAMACPP, check_offload, with_host
from llmops_cli.plan.memory import Room, room
from llmops_cli.plan.models import is_gguf_scheme, read_load
from llmops_cli.plan.recipe import PlanRecipe
from llmops_cli.plan.slo import Limits, read_limits
from llmops_cli.sizing.calibration import Correction, Group, correction
from llmops_cli.sizing.efficiency import efficiency_of
from llmops_cli.sizing.gpus import Gpu, NamedGpus
from llmops_cli.sizing.load import ServingLoad
from llmops_cli.sizing.placement import Placement
from llmops_cli.sizing.speed import Efficiency

MOST_SLOTS = 1024
"""Sequences at once that an engine is asked for at most."""
MOST_CARDS = 65_536
USUAL_OUTPUT = 256
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
        found = correction(self.groups, engine=self.engine, machine=self.machine, quantity=quantity)
        return msgspec.structs.replace(found, spread=found.spread + self.load.spread)

    @property
    def can_run(self) -> bool:
        """llama.cpp leaves in main memory what a card cannot hold; others stop."""
        return self.slots >= 1 or self.engine == LLAMACPP

    @property
    def slots(self) -> int:
        """Sequences of the whole context that the pools hold."""
        if self.is_split:
            return self.recipe.concurrency or 1
        return int(min(self.room.sequences, MOST_SLOTS * self.place.data))

    @property
    def is_split(self) -> bool:
        """Layers of llama.cpp in main memory have their cache there: the card is no bound."""
        return self.engine == LLAMACPP and self.place.host is not None


class Gathered(msgspec.Struct, frozen=True, kw_only=True):
    """What is looked up before anything is placed."""

    recipe: PlanRecipe
    load: ServingLoad
    gpu: Gpu
    count: int | None
    engine: str
    groups: tuple[Group, ...]
    limits: Limits
    output_tokens: int


def gather(recipe: PlanRecipe) -> Gathered:
    """Raises: UsageError for a model, card, engine or limit that is not known."""
    if not recipe.model:
        raise UsageError("a plan needs a model", hint="llmops plan serve qwen3-8b --gpu l4")
    load = read_load(recipe.model, scheme=recipe.quant, cache_type=recipe.kv_type)
    cards = gpus_of(recipe)
    engine = recipe.engine or (LLAMACPP if is_gguf_scheme(load.scheme) else VLLM)
    check_offload(recipe, engine)
    output_tokens = recipe.output_tokens or max(1, min(USUAL_OUTPUT, recipe.context // 4))
    if output_tokens >= recipe.context:
        raise UsageError(
            f"{output_tokens} tokens of an answer leave no room for a prompt in {recipe.context}",
            hint="a larger --context",
        )
    if recipe.rate is not None and recipe.concurrency is not None:
        raise UsageError("--rate and --concurrency are two kinds of load", hint="give one")
    return Gathered(
        recipe=recipe,
        load=load,
        gpu=cards.gpu,
        count=_count(recipe, cards),
        engine=engine,
        groups=read_groups(recipe.fitted),
        limits=read_limits(recipe.slo),
        output_tokens=output_tokens,
    )


def _count(recipe: PlanRecipe, cards: NamedGpus) -> int | None:
    """None where the model decides."""
    if recipe.this_machine:
        return 1
    named = cards.count if cards.count > 1 else None
    if named is not None and recipe.gpus not in {None, named}:
        raise UsageError(
            f"--gpu '{recipe.gpu}' is {named} cards, and --gpus says {recipe.gpus}",
            hint="say how many once",
        )
    count = recipe.gpus or named
    if count is not None and count > MOST_CARDS:
        raise UsageError(
            f"{count:,} cards are more than any plan has",
            hint="fewer --gpus, a shorter --context or less --concurrency",
        )
    return count


def placed(gathered: Gathered, place: Placement) -> Setting:
    """With the part of the weights that stays in main memory, where one does."""
    recipe = gathered.recipe
    place = with_host(recipe, gathered.load, place, engine=gathered.engine)
    return Setting(
        recipe=recipe,
        load=gathered.load,
        place=place,
        engine=gathered.engine,
        efficiency=efficiency_of(gathered.engine, place.gpu.name, is_cpu=place.device.is_cpu),
        groups=gathered.groups,
        room=room(
            gathered.load,
            place,
            engine=gathered.engine,
            memory_share=recipe.memory_share,
            context=recipe.context,
        ),
        limits=gathered.limits,
        output_tokens=gathered.output_tokens,
    )


def title_of(setting: Setting) -> str:
    count = setting.place.devices
    cards = setting.machine if count == 1 else f"{count} x {setting.machine}"
    layout = f" ({setting.place.in_words})" if count > 1 else ""
    return f"{setting.load.name} ({setting.load.scheme}) on {cards}{layout} by {setting.engine}"


def context_notes(setting: Setting) -> tuple[str, ...]:
    """That requests are longer than the model was made for, where they are."""
    positions = setting.load.positions
    asked = setting.recipe.context
    if positions is None or asked <= positions:
        return ()
    told = (
        f"--context {asked:,} is beyond the {positions:,} positions that {setting.load.name} was "
        "made for: vLLM refuses it and others answer badly, unless its config stretches them"
    )
    return (told,)
