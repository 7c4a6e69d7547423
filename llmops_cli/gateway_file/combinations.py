"""Values that are fine each alone and mean nothing together: they would fail, or do nothing."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import msgspec

from llmops_cli.core.artifact import name_of_path
from llmops_cli.gateway_file.config import GatewayConfig
from llmops_cli.gateway_file.mistake import Mistake, Mistakes, Place, below
from llmops_cli.gateway_file.model import (
    CanaryConfig,
    ModelConfig,
    Pool,
    PoolMember,
    RuleConfig,
    SemanticConfig,
    upstream_of,
)
from llmops_cli.gateway_file.served import served_name
from llmops_cli.gateway_file.upstream import Price, UpstreamConfig

Member = tuple[str, str]
"""An upstream, and what it calls the model."""


def contradictions_in(config: GatewayConfig) -> Mistakes:
    place: Place
    yield from numbers_without_end((), config)
    for name, upstream in config.upstreams.items():
        yield from below(("upstreams", name), _in_upstream(upstream))
    if not config.models:
        yield from _of_one_name(config.upstreams)
    for name, model in config.models.items():
        yield from below(("models", name), _in_model(name, model, config))
    if config.cache is not None and config.cache.semantic is not None:
        place = ("cache", "semantic", "model")
        yield from below(place, _without_vectors(config.cache.semantic.model, config))
    yield from _in_endpoints(config)
    yield from _in_adapters(config)


def numbers_without_end(place: Place, value: object) -> Mistakes:
    """YAML has .inf and .nan; no price, share or time is one."""
    if isinstance(value, float) and not math.isfinite(value):
        yield Mistake(place, f"{value} is no number to count with")
    elif isinstance(value, msgspec.Struct):
        for field in value.__struct_fields__:
            yield from numbers_without_end((*place, field), getattr(value, field))
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from numbers_without_end((*place, name), item)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from numbers_without_end((*place, number), item)


# Upstreams.


def _of_one_name(upstreams: dict[str, UpstreamConfig]) -> Mistakes:
    """Two models that clients could not tell apart."""
    first: dict[str, str] = {}
    for name, upstream in upstreams.items():
        if not upstream.engine:
            continue
        model = upstream.started_model
        served = served_name(upstream)
        other = first.setdefault(served, model)
        if _place_of(other) != _place_of(model):
            message = f"{model} and {other} would both be served as {served}, as if they were one"
            hint = f"models: {{{served}: {{pool: [{name}]}}, ...}} gives each a name of its own"
            yield Mistake(("upstreams", name, "model"), message, hint)


def _place_of(model: str) -> str:
    """One for each spelling of a path."""
    if name_of_path(model) is None:
        return model
    return str(Path(model).expanduser().resolve())


def _in_upstream(upstream: UpstreamConfig) -> Mistakes:
    if isinstance(upstream.price, Price):
        yield from below(("price",), _in_price(upstream.price))
    if upstream.prompt_cache and not upstream.is_anthropic:
        message = "prompts are marked for a cache in Anthropic's dialect; others find them anyway"
        yield Mistake(("prompt_cache",), message, "dialect: anthropic")
    if upstream.engine:
        if upstream.is_anthropic:
            yield Mistake(("dialect",), "an engine of ours speaks OpenAI's dialect")
        return
    for field in ("model", "options", "replicas"):
        if getattr(upstream, field) != getattr(_NO_ENGINE, field):
            hint = None
            if field == "model":
                hint = "in a pool: {upstream: NAME, model: ITS_NAME_THERE}"
            yield Mistake((field,), f"{field} is for an engine to start", hint)


_NO_ENGINE = UpstreamConfig()
BESIDE = ("cached_input", "cache_write", "reasoning", "audio_input", "audio_output", "long")
PAIRS = (("input", "output"), ("gpu_hour", "tokens_per_s"))


def _in_price(price: Price) -> Mistakes:
    """Of tokens, or of a machine; whole."""
    given = [name for name in price.__struct_fields__ if getattr(price, name) is not None]
    if not given:
        yield Mistake((), "there is no price in it", "{input: 0.5, output: 1.5}")
    for pair in PAIRS:
        here = [name for name in pair if name in given]
        missing = [name for name in pair if name not in given]
        if here and missing:
            hint = f"{missing[0]}: 0 for what costs nothing"
            if "gpu_hour" in pair:
                hint = "{gpu_hour: 2.5, tokens_per_s: 1800}"
            yield Mistake((here[0],), f"{here[0]} without {missing[0]} is half a price", hint)
    for name in BESIDE:
        if name in given and "input" not in given:
            yield Mistake((name,), f"{name} is beside a price of input and output")
    kinds = [pair for pair in PAIRS if not set(pair).isdisjoint(given)]
    if len(kinds) > 1:
        yield Mistake((), "a price is of tokens, or of a machine's hour, not both")


# Models.


def _in_model(
    name: str,
    model: ModelConfig,
    config: GatewayConfig,
) -> Mistakes:
    for place, pool in pools_of(model).items():
        yield from below(place, _in_pool(name, pool))
    for number, rule in enumerate(model.rules):
        yield from below(("rules", number), _in_rule(rule, config))
    for number, other in enumerate(model.fallback):
        if other in model.fallback[:number]:
            yield Mistake(("fallback", number), f"{other} stands there twice")
    if model.hybrid is not None:
        yield from below(("hybrid", "small"), _in_hybrid(name, model, config))
    if model.canary is not None:
        yield from below(("canary",), _in_canary(name, model, model.canary))
    if model.cache is not None and model.cache.semantic is not None:
        place = ("cache", "semantic", "model")
        yield from below(place, _in_semantic(name, model.cache.semantic, config))
        yield from below(place, _without_vectors(model.cache.semantic.model, config))


def pools_of(model: ModelConfig) -> dict[Place, Pool]:
    """All that name upstreams and stand in the file, by their place below the model."""
    pools: dict[Place, Pool] = {}
    if model.pool:
        pools["pool",] = model.pool
    for colour, pool in model.colours.items():
        pools["colours", colour] = pool
    for number, rule in enumerate(model.rules):
        pools["rules", number, "use"] = rule.use
    if model.canary:
        pools["canary", "use"] = model.canary.use
    if model.shadow:
        pools["shadow", "use"] = model.shadow.use
    return pools


def _in_pool(name: str, pool: Pool) -> Mistakes:
    if not pool:
        yield Mistake((), "no upstream stands there")
    members = list(_members(name, pool))
    for number, member in enumerate(members):
        if member in members[:number]:
            hint = "{upstream: NAME, weight: 2} gets twice as much"
            yield Mistake((number,), f"{member[0]} stands there twice", hint)


def _members(name: str, pool: Pool) -> Iterator[Member]:
    for entry in pool:
        theirs = name
        if isinstance(entry, PoolMember) and entry.model:
            theirs = entry.model
        yield upstream_of(entry), theirs


def _in_rule(rule: RuleConfig, config: GatewayConfig) -> Mistakes:
    longer = rule.longer_than
    shorter = rule.shorter_than
    if longer is not None and shorter is not None and longer + 1 >= shorter:
        message = f"no prompt is longer than {longer:,} and shorter than {shorter:,} tokens"
        yield Mistake(("shorter_than",), message)
    if rule.needs and not any(
        _can(name, rule.needs, config) for name in map(upstream_of, rule.use)
    ):
        message = f"no upstream that the rule uses can do {rule.needs}"
        yield Mistake(("needs",), message, f"can: [{rule.needs}] at one of them")


def _can(upstream: str, need: str, config: GatewayConfig) -> bool:
    found = config.upstreams.get(upstream)
    return found is None or found.can is None or need in found.can


def _in_hybrid(
    name: str,
    model: ModelConfig,
    config: GatewayConfig,
) -> Mistakes:
    assert model.hybrid is not None
    small = model.hybrid.small
    if small == name:
        yield Mistake((), "a model is not its own small model")
        return
    other = config.models.get(small)
    if other is None:
        return
    if other.hybrid is not None and name in _small_models(small, config):
        yield Mistake((), f"{small} has {name} before it in turn: neither is the small one")
    if _is_all_anthropic(other, config):
        message = f"{small} has upstreams in Anthropic's dialect alone, which tells no logprobs"
        yield Mistake((), f"{message}: nobody knows how sure an answer is")
    if set(_members(small, other.members())) == set(_members(name, model.members())):
        yield Mistake((), f"{small} is answered by what answers for {name}")


def _is_all_anthropic(model: ModelConfig, config: GatewayConfig) -> bool:
    """Whether whoever may be asked for it speaks Anthropic's dialect."""
    names = {upstream_of(entry) for pool in pools_of(model).values() for entry in pool}
    found = [config.upstreams[name] for name in names if name in config.upstreams]
    return bool(found) and all(upstream.is_anthropic for upstream in found)


def _without_vectors(name: str, config: GatewayConfig) -> Mistakes:
    """Where a model is to make vectors."""
    model = config.models.get(name)
    if model is not None and _is_all_anthropic(model, config):
        message = f"{name} has upstreams in Anthropic's dialect alone, which makes no vectors"
        yield Mistake((), message)


def _small_models(name: str, config: GatewayConfig) -> set[str]:
    """Those that a model's hybrid leads to, one after another."""
    found = set[str]()
    model = config.models.get(name)
    while model is not None and model.hybrid is not None and model.hybrid.small not in found:
        found.add(model.hybrid.small)
        model = config.models.get(model.hybrid.small)
    return found


def _in_canary(
    name: str,
    model: ModelConfig,
    canary: CanaryConfig,
) -> Mistakes:
    stable = set(_members(name, model.members()))
    if canary.use and stable.issuperset(_members(name, canary.use)):
        yield Mistake(("use",), "the canary uses what the pool uses")
    if not canary.steps or sorted(set(canary.steps)) != canary.steps:
        yield Mistake(("steps",), "the steps of a canary grow", "[5, 50, 100]")


def _in_semantic(
    name: str,
    semantic: SemanticConfig,
    config: GatewayConfig,
) -> Mistakes:
    """Which model makes the vectors."""
    if semantic.model == name:
        yield Mistake((), "a model does not make the vectors of its own cache")
        return
    other = config.models.get(semantic.model)
    if other is not None and other.cache is not None and other.cache.semantic is not None:
        yield Mistake((), f"{semantic.model} has a semantic cache itself, which needs vectors")


def _in_endpoints(config: GatewayConfig) -> Mistakes:
    """What is passed on needs somebody who has it."""
    if not config.upstreams or not all(each.is_anthropic for each in config.upstreams.values()):
        return
    for number, group in enumerate(config.endpoints):
        message = f"every upstream speaks Anthropic's dialect, which has no {group}"
        yield Mistake(("endpoints", number), message)


def _in_adapters(config: GatewayConfig) -> Mistakes:
    """A name stands for one model."""
    owners: dict[str, str] = {}
    for name, model in config.models.items():
        for number, adapter in enumerate(model.adapters):
            place: Place = ("models", name, "adapters", number)
            if adapter in config.models:
                yield Mistake(place, f"{adapter} is a model of this file")
            elif adapter in owners:
                yield Mistake(place, f"{adapter} is an adapter of {owners[adapter]} already")
            owners[adapter] = name
