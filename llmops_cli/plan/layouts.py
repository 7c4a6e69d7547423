"""How a model is spread over cards: every layout that an engine takes, and which one to take."""

from __future__ import annotations

import math
from collections.abc import Iterator

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.plan.host import LLAMACPP, card_layers
from llmops_cli.plan.memory import GIB
from llmops_cli.plan.recipe import PlanRecipe
from llmops_cli.plan.report import LayoutRow
from llmops_cli.plan.service import loaded_of, service_of
from llmops_cli.plan.setting import MOST_CARDS, Gathered, Setting, gather, placed
from llmops_cli.sizing.devices import GIGA
from llmops_cli.sizing.load import ServingLoad
from llmops_cli.sizing.placement import Placement, stages_of
from llmops_cli.sizing.queueing import Loaded

ALIKE = 0.05
"""Times closer than that are alike to a prediction; the simpler layout is taken."""
TRANSFORMERS = "transformers"


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A layout with what comes of it. `found`: None where it does not fit."""

    setting: Setting
    fits: bool
    found: Loaded | None

    @property
    def request_s(self) -> float:
        """Of a mean request; infinite where the queue grows."""
        if self.found is None:
            return math.inf
        return self.found.ttft_s + self.found.tpot_s * self.setting.output_tokens

    @property
    def is_within(self) -> bool:
        """Whether its means meet the limits asked for."""
        limits = self.setting.limits
        if self.found is None:
            return False
        return self.found.ttft_s <= limits.ttft_s and self.found.tpot_s <= limits.tpot_s

    @property
    def name(self) -> str:
        return self.setting.place.in_words


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """All layouts, the one that is taken first, and why it is."""

    candidates: tuple[Candidate, ...]
    reason: str

    @property
    def setting(self) -> Setting:
        return self.candidates[0].setting


def choose(recipe: PlanRecipe) -> Choice:
    """Raises: UsageError for degrees that the engine or the model does not take."""
    gathered = gather(recipe)
    if gathered.count is not None:
        return _among(gathered, gathered.count)
    count = _least_count(recipe)
    while True:
        choice = _among(gathered, count)
        can_grow = count * 2 <= _most_count(gathered)
        if choice.candidates[0].fits or not can_grow:
            return choice
        count *= 2


def _least_count(recipe: PlanRecipe) -> int:
    degrees = (recipe.tensor_parallel, recipe.pipeline_parallel, recipe.data_parallel)
    return math.prod(degree or 1 for degree in degrees)


def _most_count(gathered: Gathered) -> int:
    """Beyond what all layers on cards of their own hold, more of them do not help."""
    recipe = gathered.recipe
    wanted = (recipe.concurrency or 1) * gathered.load.cache_bytes(recipe.context)
    needed = (gathered.load.weights_bytes + wanted) / gathered.gpu.device.memory_bytes
    most = 1 << max(6, math.ceil(math.log2(max(1.0, needed))) + 3)
    if most > MOST_CARDS:
        raise UsageError(
            f"some {needed:,.0f} cards are more than any plan has",
            hint="a shorter --context or less --concurrency",
        )
    return most


def _among(gathered: Gathered, count: int) -> Choice:
    _check_product(gathered, count)
    places = list(places_of(gathered, count))
    if not places:
        raise UsageError(
            f"no layout of {count} cards is one that {gathered.engine} takes{_asked(gathered)}",
            hint=_rule(gathered),
        )
    found = [_candidate(placed(gathered, place)) for place in places]
    ordered = sorted(found, key=_order)
    best = ordered[0]
    near = [each for each in ordered if _is_alike(each, best)]
    taken = min(near, key=_simplicity)
    others = [each for each in ordered if each is not taken]
    return Choice(candidates=(taken, *others), reason=_reason(taken, others))


def _check_product(gathered: Gathered, count: int) -> None:
    """Raises: UsageError for degrees whose product does not divide the cards."""
    degrees = _least_count(gathered.recipe)
    if count % degrees:
        raise UsageError(
            f"{count} cards are no multiple of {degrees}{_asked(gathered)}",
            hint="tensor x pipeline x data is the number of cards",
        )


def _candidate(setting: Setting) -> Candidate:
    wanted = setting.recipe.concurrency or 1
    fits = setting.room.sequences >= wanted and setting.room.pool > 0 and not setting.is_split
    found = loaded_of(setting, service_of(setting)) if setting.can_run else None
    return Candidate(setting=setting, fits=fits, found=found)


def _order(each: Candidate) -> tuple[bool, bool, float, float]:
    slots = -each.setting.room.sequences
    return (not each.fits, not each.is_within, each.request_s, slots)


def _is_alike(each: Candidate, best: Candidate) -> bool:
    if (each.fits, each.is_within) != (best.fits, best.is_within):
        return False
    if math.isinf(best.request_s):
        return each is best
    return each.request_s <= best.request_s * (1 + ALIKE)


def _simplicity(each: Candidate) -> tuple[int, int, int, float]:
    """Copies are the simplest: no card of one waits for another's."""
    place = each.setting.place
    return (place.pipeline, place.expert, place.tensor, each.request_s)


def _reason(taken: Candidate, others: list[Candidate]) -> str:
    fitting = [each for each in others if each.fits]
    if not others:
        return f"{taken.name}: the only layout of these cards"
    if not taken.fits:
        return f"{taken.name}: none of {len(others) + 1} layouts fits, and it holds the most"
    if not fitting:
        return f"{taken.name}: the only one of {len(others) + 1} layouts that fits"
    best = min(fitting, key=lambda each: each.request_s)
    head = f"{taken.name}: of {len(fitting) + 1} layouts that fit"
    if math.isinf(taken.request_s):
        return f"{head}, none keeps up with the load"
    if best.request_s < taken.request_s:
        return f"{head} the simplest of those within {ALIKE:.0%} of the fastest ({best.name})"
    told = f"{taken.request_s:.3g} s a request"
    if math.isinf(best.request_s):
        return f"{head} the only one that keeps up with the load, {told}"
    return f"{head} the fastest, {told}; next {best.name} with {best.request_s:.3g} s"


def places_of(gathered: Gathered, count: int) -> Iterator[Placement]:
    """Every layout of exactly so many cards that the engine, the model and the user take."""
    recipe = gathered.recipe
    load = gathered.load
    for tensor in divisors(count):
        if not takes_tensor(load, tensor, engine=gathered.engine):
            continue
        for pipeline in divisors(count // tensor):
            if not _takes_stages(gathered, tensor, pipeline):
                continue
            data = count // tensor // pipeline
            for expert in _expert_degrees(gathered, tensor * data):
                place = Placement(
                    gpu=gathered.gpu,
                    tensor=tensor,
                    pipeline=pipeline,
                    data=data,
                    expert=expert,
                )
                if _is_asked(recipe, place):
                    yield place


def _is_asked(recipe: PlanRecipe, place: Placement) -> bool:
    """Whether it has the degrees that the user gave."""
    wishes = (
        (recipe.tensor_parallel, place.tensor),
        (recipe.pipeline_parallel, place.pipeline),
        (recipe.data_parallel, place.data),
        (recipe.expert_parallel, place.expert),
    )
    return all(wish in {None, degree} for wish, degree in wishes)


def divisors(count: int) -> list[int]:
    return [number for number in range(1, count + 1) if count % number == 0]


def takes_tensor(load: ServingLoad, ways: int, *, engine: str) -> bool:
    """Query heads are split evenly; KV heads too, or each is copied equally often (vLLM)."""
    if ways == 1:
        return True
    if engine == LLAMACPP:
        return False
    if load.heads is not None and load.heads % ways:
        return False
    if load.kv_heads in {None, 1}:
        return True
    assert load.kv_heads is not None
    if engine == TRANSFORMERS:
        return load.kv_heads % ways == 0
    return load.kv_heads % ways == 0 or ways % load.kv_heads == 0


def _takes_stages(gathered: Gathered, tensor: int, pipeline: int) -> bool:
    if pipeline > gathered.load.layers:
        return False
    return gathered.engine != TRANSFORMERS or 1 in {tensor, pipeline}


def _expert_degrees(gathered: Gathered, group: int) -> list[int]:
    """Each expert split, or whole experts on the cards of all copies."""
    if not gathered.load.expert_bytes or gathered.engine in {LLAMACPP, TRANSFORMERS}:
        return [1]
    wished = gathered.recipe.expert_parallel
    degrees = {1, group, wished or 1}
    fitting = [each for each in degrees if group % each == 0 and each <= gathered.load.experts]
    return sorted(fitting)


def _asked(gathered: Gathered) -> str:
    """The user's degrees, in words."""
    recipe = gathered.recipe
    wished = {
        "--tensor-parallel": recipe.tensor_parallel,
        "--pipeline-parallel": recipe.pipeline_parallel,
        "--data-parallel": recipe.data_parallel,
        "--expert-parallel": recipe.expert_parallel,
    }
    named = [f"{name} {degree}" for name, degree in wished.items() if degree is not None]
    return f" with {', '.join(named)}" if named else ""


def layout_rows(choice: Choice) -> tuple[LayoutRow, ...]:
    """In order, the one that is taken first."""
    return tuple(_row(each, is_chosen=each is choice.candidates[0]) for each in choice.candidates)


def _row(each: Candidate, *, is_chosen: bool) -> LayoutRow:
    place = each.setting.place
    found = each.found
    is_stable = found is not None and found.is_stable
    heaviest = max(stage.weights_bytes for stage in stages_of(each.setting.load, place))
    return LayoutRow(
        tensor=place.tensor,
        pipeline=place.pipeline,
        data=place.data,
        expert=place.expert,
        is_chosen=is_chosen,
        fits=each.fits,
        weights_bytes_per_card=heaviest,
        kv_pool_bytes=each.setting.room.pool,
        max_concurrency=None if math.isinf(each.setting.room.sequences) else each.setting.slots,
        ttft_ms=found.ttft_s * 1000 if found and is_stable else None,
        tpot_ms=found.tpot_s * 1000 if found else None,
        throughput_tps=found.tokens_per_s if found else None,
    )


def layout_notes(choice: Choice) -> tuple[str, ...]:
    """Why this layout, and what of the weights stays in main memory."""
    setting = choice.setting
    found = [choice.reason] if setting.place.devices > 1 else []
    host = setting.place.host
    if host is None:
        return tuple(found)
    told = f"{host.weights_bytes / GIB:,.2f} GiB of weights stay in main memory"
    if setting.engine == LLAMACPP:
        count = card_layers(setting.recipe, setting.load, setting.place)
        told = f"-ngl {count} of {setting.load.layers + 1}: {told}, with their layers' cache"
    found.append(f"{told}, read at {host.bytes_per_s / GIGA:,.3g} GB/s")
    return tuple(found)


def _rule(gathered: Gathered) -> str:
    load = gathered.load
    if gathered.engine == LLAMACPP:
        return "llama.cpp spreads layers: --pipeline-parallel, --data-parallel"
    if gathered.recipe.expert_parallel and not load.expert_bytes:
        return "this model has no experts"
    heads = "unknown" if load.heads is None else str(load.heads)
    return (
        f"tensor x pipeline x data = cards; tensor divides {heads} heads, "
        f"at most {load.layers} stages; expert divides tensor x data"
    )
