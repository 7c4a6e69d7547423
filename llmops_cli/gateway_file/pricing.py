"""Which upstreams have no price, of those that could answer for a model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from llmops_cli.gateway_file.combinations import pools_of
from llmops_cli.gateway_file.config import GatewayConfig
from llmops_cli.gateway_file.model import ModelConfig, upstream_of


class Unpriced(NamedTuple):
    """`model` is empty where a file names no models."""

    model: str
    upstream: str


def unpriced(config: GatewayConfig, names: Iterable[str]) -> Iterator[Unpriced]:
    """`names`: what a key may ask for; none: all that there is."""
    if not config.models:
        for upstream, settings in config.upstreams.items():
            if settings.price is None:
                yield Unpriced("", upstream)
        return
    for model in _models(config, set(names)):
        for upstream in _who_answers(config.models[model], config):
            if config.upstreams[upstream].price is None:
                yield Unpriced(model, upstream)


def _models(config: GatewayConfig, names: set[str]) -> Iterator[str]:
    """A key may name a model, or an adapter of one."""
    for model, settings in config.models.items():
        if not names or names & {model, *settings.adapters}:
            yield model


def _who_answers(model: ModelConfig, config: GatewayConfig) -> list[str]:
    """In any pool of it, in its place, or before it; copies are nobody's cost."""
    others = [*model.fallback]
    if model.hybrid is not None:
        others.append(model.hybrid.small)
    found: dict[str, None] = {}
    for each in (model, *(config.models[name] for name in others if name in config.models)):
        for place, pool in pools_of(each).items():
            if place[0] != "shadow":
                found |= dict.fromkeys(map(upstream_of, pool))
    return list(found)
