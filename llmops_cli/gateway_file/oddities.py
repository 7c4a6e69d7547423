"""What a gateway can run with, though nobody can have meant it: told, and not refused."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from llmops_cli.gateway_file.combinations import pools_of
from llmops_cli.gateway_file.config import GatewayConfig
from llmops_cli.gateway_file.mistake import Mistake, Mistakes, below
from llmops_cli.gateway_file.model import ModelConfig, RuleConfig, upstream_of
from llmops_cli.gateway_file.reach import Binding, binding_of, may_see
from llmops_cli.gateway_file.references import references_in
from llmops_cli.gateway_file.served import adapters_of
from llmops_cli.gateway_file.upstream import UpstreamConfig


def oddities_in(config: GatewayConfig) -> Mistakes:
    for name, model in config.models.items():
        yield from below(("models", name), _in_model(model, config))
    yield from _in_upstreams(config)
    yield from _in_keys(config)
    yield from _in_the_rest(config)


def _in_model(model: ModelConfig, config: GatewayConfig) -> Mistakes:
    for number, rule in enumerate(model.rules):
        if rule == RuleConfig(use=rule.use):
            message = "the rule asks for nothing: the pool and later rules are never used"
            yield Mistake(("rules", number), message)
    upstreams = [config.upstreams[name] for name in map(upstream_of, model.members())]
    is_single = len(upstreams) == 1 and upstreams[0].replicas == 1
    if model.hedge_after_s is not None and is_single and model.canary is None:
        yield Mistake(("hedge_after_s",), "the pool has no second upstream to ask")
    if model.balance == "cost" and all(each.price is None for each in upstreams):
        yield Mistake(("balance",), "no upstream of the pool has a price")
    if binding_of(model) is Binding.ALL:
        yield from _in_stand_ins(model, config)


def _in_stand_ins(model: ModelConfig, config: GatewayConfig) -> Mistakes:
    """Of a model that keeps personal data on some upstreams."""
    allowed = may_see(model)
    for number, other in enumerate(model.fallback):
        theirs = config.models.get(other)
        if theirs is not None and allowed.isdisjoint(may_see(theirs)):
            message = f"{other} never stands in for private prompts: its upstreams may not see them"
            yield Mistake(("fallback", number), message)


def _in_upstreams(config: GatewayConfig) -> Mistakes:
    if not config.models:
        return
    used = set(_used(config))
    for name in config.upstreams:
        if name not in used:
            yield Mistake(("upstreams", name), "no model uses it")
    asked = {reference.name for reference in references_in(config)}
    for name, upstream in config.upstreams.items():
        for adapter in adapters_of(upstream):
            if adapter not in asked:
                place = ("upstreams", name, "options", "lora")
                message = f"no model has the adapter {adapter}, so nobody can ask for it"
                yield Mistake(place, message, f"adapters: [{adapter}] at a model")


def _used(config: GatewayConfig) -> Iterator[str]:
    for model in config.models.values():
        for pool in pools_of(model).values():
            yield from map(upstream_of, pool)


def _in_keys(config: GatewayConfig) -> Mistakes:
    """A key is somebody's: what is sent to two hosts is known to both."""
    hosts: dict[str, str | None] = {}
    for name, upstream in config.upstreams.items():
        variable = upstream.key_env
        host = _host_of(upstream)
        if not variable or not host:
            continue
        first = hosts.setdefault(variable, host)
        if first != host:
            message = f"{variable} is sent to {first} and to {host}"
            yield Mistake(("upstreams", name, "key_env"), message)


def _host_of(upstream: UpstreamConfig) -> str | None:
    """None: no single one that the file names."""
    discover = upstream.discover
    if upstream.url:
        return urlsplit(upstream.url).hostname
    if discover is not None and discover.file is None:
        return urlsplit(discover.place()).hostname
    return None


def _in_the_rest(config: GatewayConfig) -> Mistakes:
    """Settings of what is off."""
    if config.audit.bodies and not config.audit.on:
        yield Mistake(("audit", "bodies"), "there is no audit log for bodies to stand in")
    if config.retries.most and not config.retries.budget:
        message = "a share of 0 is ten retries after a start, and none later"
        yield Mistake(("retries", "budget"), message, "most: 0 for none at all")
    for name, model in config.models.items():
        if model.shadow is not None and not model.shadow.share:
            place = ("models", name, "shadow", "share")
            yield Mistake(place, "nothing is copied")
