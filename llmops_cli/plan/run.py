"""A plan: what a model on some cards takes, how fast it is and what that costs."""

from __future__ import annotations

import math

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.plan.advice import advice_of
from llmops_cli.plan.devices import gpus_of
from llmops_cli.plan.fitted import read_groups
from llmops_cli.plan.memory import Room, cards_needed, room
from llmops_cli.plan.models import is_gguf_scheme, read_load
from llmops_cli.plan.recipe import PlanRecipe
from llmops_cli.plan.report import CurvePoint, PlanDetail, ServePlan
from llmops_cli.plan.slo import Limits, read_limits
from llmops_cli.sizing.calibration import Correction, Group, correction
from llmops_cli.sizing.cost import Rates, usd_per_million
from llmops_cli.sizing.efficiency import efficiency_of
from llmops_cli.sizing.figures import Figure, counted, decided, estimated, missing
from llmops_cli.sizing.gpus import NamedGpus
from llmops_cli.sizing.load import ServingLoad
from llmops_cli.sizing.queueing import Loaded, Service, closed_loop, curve, knee, open_loop
from llmops_cli.sizing.speed import (
    Efficiency,
    Placement,
    Speculation,
    ceiling_s,
    prefill_s,
    speculated_s,
    step_s,
)

MOST_SLOTS = 1024
MOST_CARDS = 65_536
USUAL_OUTPUT = 256
LOADED_SPREAD = 0.1
"""What arrivals and scheduling add to a band, as a logarithm."""
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


def plan_serve(recipe: PlanRecipe) -> PlanDetail:
    """Raises: UsageError for what cannot be looked up."""
    setting = settle(recipe)
    service = service_of(setting)
    points = curve(service) if setting.can_run else ()
    usd = usd_per_hour(setting)
    plan = _plan(setting, service, usd)
    return PlanDetail(
        plan=plan,
        title=_title(setting),
        curve=tuple(_point(each, usd) for each in points),
        knee=knee(points).streams if points else 0.0,
        advice=advice_of(
            load=setting.load,
            place=setting.place,
            engine=setting.engine,
            slots=setting.slots,
            service=service,
            limits=setting.limits,
            rate=recipe.rate,
        ),
        notes=setting.load.notes,
    )


def service_of(setting: Setting) -> Service:
    """Corrected by what was measured."""
    decode = setting.correction("decode")
    batch = setting.correction("batch")
    prefill = setting.correction("prefill")
    alone_s = _step_s(setting, 1) / decode.factor

    def step(streams: float) -> float:
        if streams <= 1:
            return alone_s
        return _step_s(setting, streams) / batch.factor

    whole_s = prefill_s(
        setting.load, setting.place, setting.efficiency, tokens=setting.prompt_tokens
    )
    return Service(
        prefill_s=whole_s / prefill.factor,
        output_tokens=setting.output_tokens,
        slots=max(1, min(setting.slots, MOST_SLOTS)),
        step_s=step,
    )


def _step_s(setting: Setting, streams: float) -> float:
    """Of a token, drafts counted; half of the answer is written on average."""
    context = setting.prompt_tokens + setting.output_tokens / 2
    arguments = (setting.load, setting.place, setting.efficiency)
    plain_s = step_s(*arguments, batch=streams, context=context)
    drafts = setting.recipe.draft_tokens
    if drafts is None:
        return plain_s
    wide_s = step_s(*arguments, batch=streams * (drafts + 1), context=context / (drafts + 1))
    speculation = Speculation(tokens=drafts, acceptance=setting.recipe.acceptance, draft_cost=0.05)
    return speculated_s(plain_s, speculation, load_factor=max(1.0, wide_s / plain_s))


def usd_per_hour(setting: Setting) -> float | None:
    """Of all cards; None where no price is known or given."""
    price = setting.place.gpu.facts.price
    devices = setting.place.devices
    if setting.recipe.price is not None:
        return setting.recipe.price * devices
    if price is None:
        return None
    rates = Rates(on_demand=price.usd_per_hour, spot=price.spot_usd_per_hour)
    each = rates.usd_per_hour(setting.recipe.billing)
    return None if each is None else each * devices


def _plan(setting: Setting, service: Service, usd: float | None) -> ServePlan:
    held = _held(setting)
    if not setting.can_run:
        none = missing("it does not fit: see fits")
        return ServePlan(
            **held,
            decode_tps=none,
            prefill_tps=none,
            ttft_ms=none,
            tpot_ms=none,
            throughput_tps=none,
            cost_per_million_tokens=none,
        )
    found = loaded_of(setting, service)
    batch = setting.correction("batch")
    spread = batch.spread + (LOADED_SPREAD if found.streams > 1 else 0.0)
    if found.streams <= 1:
        spread = setting.correction("decode").spread
    throughput = _throughput(setting, found, spread, batch.source)
    return ServePlan(
        **held,
        decode_tps=decode_figure(setting),
        prefill_tps=prefill_figure(setting),
        ttft_ms=_first(setting, found),
        tpot_ms=estimated(
            found.tpot_s * 1000,
            spread,
            formula=f"a step of {found.streams:.0f} sequences, and prompts between",
            source=batch.source,
        ),
        throughput_tps=throughput,
        cost_per_million_tokens=_cost(throughput, usd),
    )


def _held(setting: Setting) -> dict[str, Figure]:
    """What lies in memory."""
    return {
        "fits": _fits(setting),
        "weights_bytes": counted(
            setting.load.weights_bytes,
            f"{setting.load.parameters:,.0f} parameters as {setting.load.scheme}",
            "the model's shape",
        ),
        "kv_bytes_per_token": counted(
            setting.load.cache_bytes_per_token,
            f"cached values of {setting.load.layers} layers as {setting.recipe.kv_type}",
            "the model's shape",
        ),
        "kv_pool_bytes": Figure(
            value=setting.room.pool,
            low=setting.room.pool_low,
            high=setting.room.pool_high,
            formula=setting.room.formula,
            source=setting.place.gpu.facts.source,
        ),
        "max_concurrency": _max_concurrency(setting),
    }


def loaded_of(setting: Setting, service: Service) -> Loaded:
    if setting.recipe.rate is not None:
        return open_loop(service, setting.recipe.rate)
    return closed_loop(service, setting.recipe.concurrency or 1)


def _fits(setting: Setting) -> Figure:
    wanted = setting.recipe.concurrency or 1
    needed = setting.load.cache_bytes(setting.recipe.context) * wanted
    return decided(
        is_so=needed <= setting.room.pool and setting.room.pool > 0,
        at_worst=needed <= setting.room.pool_low and setting.room.pool_low > 0,
        at_best=needed <= setting.room.pool_high and setting.room.pool_high > 0,
        formula=f"{wanted} x cache of {setting.recipe.context} tokens <= {setting.room.formula}",
    )


def _max_concurrency(setting: Setting) -> Figure:
    each = setting.load.cache_bytes(setting.recipe.context)
    if each == 0:
        return missing("a model without a cache: its states are small")
    return Figure(
        value=setting.room.pool // each,
        low=setting.room.pool_low // each,
        high=setting.room.pool_high // each,
        formula=f"pool / {each:,.0f} bytes of {setting.recipe.context} tokens",
        source="kv_pool_bytes",
    )


def decode_figure(setting: Setting) -> Figure:
    """Of one stream; the band ends where the memory's bandwidth does."""
    fix = setting.correction("decode")
    context = setting.prompt_tokens + setting.output_tokens / 2
    ceiling = 1 / ceiling_s(setting.load, setting.place, batch=1, context=context)
    if setting.recipe.draft_tokens is not None:
        ceiling = math.inf
    return estimated(
        fix.factor / _step_s(setting, 1),
        fix.spread,
        formula=(
            "1 / (bytes / bandwidth / share + unpacking + layers x fixed time + all-reduces), "
            f"at most {ceiling:,.1f}"
        ),
        source=fix.source,
        ceiling=ceiling,
    )


def prefill_figure(setting: Setting) -> Figure:
    fix = setting.correction("prefill")
    seconds = prefill_s(
        setting.load, setting.place, setting.efficiency, tokens=setting.prompt_tokens
    )
    return estimated(
        setting.prompt_tokens / seconds * fix.factor,
        fix.spread,
        formula="tokens / (2 x active parameters + attention) x peak x share",
        source=fix.source,
    )


def _first(setting: Setting, found: Loaded) -> Figure:
    fix = setting.correction("prefill")
    if not found.is_stable:
        return missing(
            f"{setting.recipe.rate:g} requests a second are more than "
            f"{found.requests_per_s:.2f}, which is all that it can do: the queue grows"
        )
    spread = fix.spread + (LOADED_SPREAD if found.streams > 1 else 0.0)
    return estimated(
        found.ttft_s * 1000,
        spread,
        formula="wait for a slot and for prompts before it + own prompt + one step",
        source=fix.source,
    )


def _throughput(setting: Setting, found: Loaded, spread: float, source: str) -> Figure:
    if setting.recipe.rate is not None and found.is_stable:
        return counted(found.tokens_per_s, "rate x tokens of an answer", "the load asked for")
    return estimated(
        found.tokens_per_s,
        spread,
        formula=f"tokens of answers by {found.streams:.0f} streams / (prompts + steps)",
        source=source,
    )


def _cost(throughput: Figure, usd: float | None) -> Figure:
    """Of output tokens, prompts paid for by them."""
    if usd is None:
        return missing("no price of this card is known: --price, or --gpu-file")
    assert throughput.low is not None
    assert throughput.high is not None
    return Figure(
        value=usd_per_million(usd, throughput.number),
        low=usd_per_million(usd, float(throughput.high)),
        high=usd_per_million(usd, float(throughput.low)),
        formula=f"{usd:g} USD an hour / throughput",
        source="price of the card",
    )


def _point(each: Loaded, usd: float | None) -> CurvePoint:
    return CurvePoint(
        streams=each.streams,
        throughput_tps=each.tokens_per_s,
        ttft_ms=each.ttft_s * 1000,
        tpot_ms=each.tpot_s * 1000,
        usd_per_million=None if usd is None else usd_per_million(usd, each.tokens_per_s),
    )


def _title(setting: Setting) -> str:
    count = setting.place.devices
    cards = setting.machine if count == 1 else f"{count} x {setting.machine}"
    return f"{setting.load.name} ({setting.load.scheme}) on {cards} by {setting.engine}"
