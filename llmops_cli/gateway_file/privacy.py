"""Which rules of the file are about personal data, and what they bind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from llmops_cli.gateway_file.config import GatewayConfig
from llmops_cli.gateway_file.model import ModelConfig, RuleConfig


def in_order(rules: Sequence[RuleConfig]) -> list[RuleConfig]:
    """As they count: those that bind personal data before all others."""
    return sorted(rules, key=lambda rule: not rule.private)


def keeps_personal_out(model: ModelConfig) -> bool:
    """Whether some upstream is only for what is not personal."""
    return any(rule.private is False for rule in model.rules)


def is_about_privacy(model: ModelConfig) -> bool:
    return any(rule.private is not None for rule in model.rules)


def asking_for_privacy(config: GatewayConfig) -> frozenset[str]:
    """Models for which it matters, themselves or on the way, whether a request is personal."""
    private = set()
    for name, model in config.models.items():
        if is_about_privacy(model):
            private.add(name)
    on_the_way = set()
    for name, model in config.models.items():
        others = others_of(model, config)
        if not private.isdisjoint(others):
            on_the_way.add(name)
    return frozenset(private | on_the_way)


def others_of(model: ModelConfig, config: GatewayConfig) -> Iterator[str]:
    """Models that see a prompt of this one: in its place, before it, or for the cache."""
    yield from model.fallback
    if model.hybrid is not None:
        yield model.hybrid.small
    cache = model.cache or config.cache
    if cache is not None and cache.semantic is not None:
        yield cache.semantic.model
