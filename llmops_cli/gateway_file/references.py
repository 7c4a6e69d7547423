"""Every name in the file that stands for something elsewhere, and whether it is there."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from enum import StrEnum
from typing import NamedTuple

from llmops_cli.core.artifact import name_of_path
from llmops_cli.gateway_file.combinations import pools_of
from llmops_cli.gateway_file.config import GatewayConfig
from llmops_cli.gateway_file.mistake import Mistake, Mistakes, Place, misspelt
from llmops_cli.gateway_file.model import CacheConfig, ModelConfig, PoolMember, upstream_of
from llmops_cli.gateway_file.served import names_for_clients, served_names


class Kind(StrEnum):
    """What a name stands for. Keys and their tags are in the state folder, not in the file."""

    UPSTREAM = "upstream"
    MODEL = "model"
    COLOUR = "colour"
    MODEL_THERE = "model of an upstream"
    SAME_NAME_THERE = "the model's own name at an upstream"
    ADAPTER_THERE = "adapter of an upstream"
    KEY = "key"
    TAG = "tag"


class Reference(NamedTuple):
    """`at`: the upstream that should have it, or the model whose colour it is."""

    kind: Kind
    name: str
    place: Place
    at: str = ""


SHADOW: Place = ("shadow", "use")
OF_STATE = frozenset([Kind.KEY, Kind.TAG])
AT_UPSTREAMS = frozenset([Kind.MODEL_THERE, Kind.SAME_NAME_THERE, Kind.ADAPTER_THERE])


def references_in(config: GatewayConfig) -> Iterator[Reference]:
    """All of them, those that are right included."""
    for name, model in config.models.items():
        yield from _in_model(name, model)
    for name in config.limits.models:
        yield Reference(Kind.MODEL, name, ("limits", "models", name))
    yield from _in_cache(config.cache, ())
    for number, tag in enumerate(config.tags):
        yield Reference(Kind.TAG, tag, ("tags", number))


def mistakes_in_references(config: GatewayConfig) -> Mistakes:
    """Names that the file itself shows to stand for nothing."""
    for reference in references_in(config):
        if reference.kind not in OF_STATE:
            yield from _unless_there(reference, config)


def _in_model(name: str, model: ModelConfig) -> Iterator[Reference]:
    above: Place = ("models", name)
    if model.live:
        yield Reference(Kind.COLOUR, model.live, (*above, "live"), name)
    for place, pool in pools_of(model).items():
        adapters = [] if place == SHADOW else model.adapters
        for number, member in enumerate(pool):
            yield from _in_member(name, member, adapters, (*above, *place, number))
    for number, other in enumerate(model.fallback):
        yield Reference(Kind.MODEL, other, (*above, "fallback", number))
    if model.hybrid is not None:
        yield Reference(Kind.MODEL, model.hybrid.small, (*above, "hybrid", "small"))
    yield from _in_cache(model.cache, above)
    for number, rule in enumerate(model.rules):
        for which, key in enumerate(rule.keys):
            yield Reference(Kind.KEY, key, (*above, "rules", number, "keys", which))


def _in_member(
    name: str,
    member: str | PoolMember,
    adapters: Sequence[str],
    place: Place,
) -> Iterator[Reference]:
    """An upstream, and what is asked of it. A shadow without an adapter fails nobody's request."""
    upstream = upstream_of(member)
    yield Reference(Kind.UPSTREAM, upstream, place)
    if isinstance(member, PoolMember) and member.model:
        yield Reference(Kind.MODEL_THERE, member.model, (*place, "model"), upstream)
    else:
        yield Reference(Kind.SAME_NAME_THERE, name, place, upstream)
    for number, adapter in enumerate(adapters):
        where = ("models", name, "adapters", number)
        yield Reference(Kind.ADAPTER_THERE, adapter, where, upstream)


def _in_cache(cache: CacheConfig | None, above: Place) -> Iterator[Reference]:
    if cache is not None and cache.semantic is not None:
        yield Reference(Kind.MODEL, cache.semantic.model, (*above, "cache", "semantic", "model"))


def _unless_there(reference: Reference, config: GatewayConfig) -> Mistakes:
    kind, name, place, at = reference
    if kind in AT_UPSTREAMS:
        served = _served_by(at, config)
        if served is not None:
            yield from _unless_served(reference, served)
        return
    known = _known(reference, config)
    if known is not None and name not in known:
        yield misspelt(place, kind, name, known)


def _known(reference: Reference, config: GatewayConfig) -> Collection[str] | None:
    """None: only somebody else knows."""
    if reference.kind is Kind.UPSTREAM:
        return config.upstreams
    if reference.kind is Kind.COLOUR:
        return config.models[reference.at].colours
    return config.models or names_for_clients(config)


def _served_by(upstream: str, config: GatewayConfig) -> frozenset[str] | None:
    found = config.upstreams.get(upstream)
    return None if found is None else served_names(found)


def _unless_served(reference: Reference, served: frozenset[str]) -> Mistakes:
    """Who serves a single model is asked for that one, where a pool says no other."""
    kind, name, place, at = reference
    if name in served or name_of_path(name) in served:
        return
    if kind is Kind.ADAPTER_THERE:
        message = f"upstream {at} loads no adapter {name}"
        yield Mistake(place, message, f"options: {{lora: {name}=PATH}} at {at}")
    elif kind is Kind.MODEL_THERE or len(served) > 1:
        each = ", ".join(sorted(served))
        message = f"upstream {at} serves {each}, and no {name}"
        yield Mistake(place, message, f"{{upstream: {at}, model: {min(served)}}}")
