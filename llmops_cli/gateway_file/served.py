"""By which names engines that the file starts serve what they load."""

from __future__ import annotations

from llmops_cli.core.artifact import name_of_path
from llmops_cli.core.errors import UsageError
from llmops_cli.engines import engine_names, load_engine, parse_options
from llmops_cli.engines.options import EngineOptions
from llmops_cli.gateway_file.config import GatewayConfig
from llmops_cli.gateway_file.upstream import UpstreamConfig

LLAMA_SERVER = "binary"
"""The option of llama.cpp's own server, which answers by whatever name it is asked."""


def served_name(upstream: UpstreamConfig) -> str:
    """What an engine of ours calls its model."""
    model = upstream.started_model
    return name_of_path(model) or model


def options_of(upstream: UpstreamConfig) -> EngineOptions | None:
    """None: for no engine, or wrong on any machine, which is said elsewhere."""
    name = upstream.engine
    if name is None or name not in engine_names():
        return None
    try:
        return parse_options(name, load_engine(name), upstream.engine_options())
    except UsageError:
        return None


def adapters_of(upstream: UpstreamConfig) -> list[str]:
    """That its engine loads."""
    options = options_of(upstream)
    return [] if options is None else [lora.name for lora in options.lora]


def served_names(upstream: UpstreamConfig) -> frozenset[str] | None:
    """Its model and its adapters. None: the file does not tell, or any name will do."""
    options = options_of(upstream)
    if options is None or upstream.engine is None or LLAMA_SERVER in upstream.options:
        return None
    if not load_engine(upstream.engine).facts.formats:
        return None  # it loads nothing
    return frozenset([served_name(upstream), *adapters_of(upstream)])


def names_for_clients(config: GatewayConfig) -> frozenset[str] | None:
    """All that clients may ask for. None: only the upstreams know."""
    if config.models:
        adapters = (name for model in config.models.values() for name in model.adapters)
        return frozenset([*config.models, *adapters])
    found = frozenset[str]()
    for upstream in config.upstreams.values():
        names = served_names(upstream)
        if names is None:
            return None
        found |= names
    return found
