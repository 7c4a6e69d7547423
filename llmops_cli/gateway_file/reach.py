"""Where prompts with personal data can go, for each model of the file."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

import msgspec

from llmops_cli.gateway_file.config import GatewayConfig
from llmops_cli.gateway_file.model import ModelConfig, Pool, RuleConfig, upstream_of
from llmops_cli.gateway_file.privacy import keeps_personal_out, others_of

ANY_MODEL = "*"
"""Of a file without `models`: whatever its upstreams list."""


class Binding(StrEnum):
    """Which private prompts of a model a rule binds: `some` where it asks for more than that."""

    ALL = "all"
    SOME = "some"
    NONE = "none"


class PrivateReach(msgspec.Struct, frozen=True, kw_only=True):
    """Upstreams by name: who may see a private prompt, and who sees only others.

    `cached_in`: where answers to private prompts are kept; empty: nowhere.
    """

    model: str
    bound: Binding
    may_see: list[str]
    may_not: list[str]
    cached_in: str = ""


def reaches(config: GatewayConfig) -> list[PrivateReach]:
    if not config.models:
        whole = PrivateReach(
            model=ANY_MODEL,
            bound=Binding.NONE,
            may_see=sorted(config.upstreams),
            may_not=[],
            cached_in=_cached_in(ModelConfig(), Binding.NONE, config),
        )
        return [whole]
    return [_reach(name, model, config) for name, model in config.models.items()]


def _reach(
    name: str,
    model: ModelConfig,
    config: GatewayConfig,
) -> PrivateReach:
    allowed = may_see(model)
    all_of_them = set(_upstreams_of(model))
    bound = binding_of(model)
    for other in others_of(model, config):
        theirs = config.models.get(other)
        if theirs is None:
            continue
        all_of_them |= set(_upstreams_of(theirs))
        if bound is not Binding.ALL:
            allowed |= may_see(theirs)
    return PrivateReach(
        model=name,
        bound=bound,
        may_see=sorted(allowed),
        may_not=sorted(all_of_them - allowed),
        cached_in=_cached_in(model, bound, config),
    )


def binding_of(model: ModelConfig) -> Binding:
    rules = [rule for rule in model.rules if rule.private]
    if any(map(_is_for_all, rules)) or keeps_personal_out(model):
        return Binding.ALL
    return Binding.SOME if rules else Binding.NONE


def may_see(model: ModelConfig) -> set[str]:
    """By the model's own rules."""
    found = set[str]()
    for rule in model.rules:
        if not rule.private:
            continue
        found |= set(_names(rule.use))
        if _is_for_all(rule):
            return found
    if not keeps_personal_out(model):
        return found | set(_upstreams_of(model))
    pools = [rule.use for rule in model.rules if rule.private is None]
    for pool in (model.members(), *pools):
        found |= set(_names(pool))
    return found


def _is_for_all(rule: RuleConfig) -> bool:
    """Whether it asks for nothing but personal data."""
    plain = RuleConfig(use=rule.use, private=True)
    return rule == plain


def _upstreams_of(model: ModelConfig) -> Iterator[str]:
    """All that a prompt can reach under the model's own name."""
    yield from _names(model.members())
    for rule in model.rules:
        yield from _names(rule.use)
    if model.canary is not None:
        yield from _names(model.canary.use)
    if model.shadow is not None:
        yield from _names(model.shadow.use)


def _names(pool: Pool) -> Iterator[str]:
    return map(upstream_of, pool)


def _cached_in(
    model: ModelConfig,
    bound: Binding,
    config: GatewayConfig,
) -> str:
    cache = model.cache or config.cache
    if cache is None or (bound is Binding.ALL and not cache.private):
        return ""
    return "here" if config.redis is None else "redis"
