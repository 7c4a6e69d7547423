"""What a gateway's file names, and what is not there where it is to run.

In a container an address of the machine that asks is the container's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from llmops_cli.core.this_machine import is_this_machine
from llmops_cli.core.urls import shown_url
from llmops_cli.deploy.recipe import RenderRecipe
from llmops_cli.deploy.source import Source
from llmops_cli.gateway_file.config import GatewayConfig
from llmops_cli.guard.policy import SHIPPED

IN_CONTAINERS = ("k8s", "kserve", "compose")


def is_at_this_machine(url: str) -> bool:
    """Whatever stands before its host, a password included."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return False
    return is_this_machine(host)


def left_here(recipe: RenderRecipe, source: Source) -> Iterator[str]:
    """Notes on what nobody brings along, and on addresses at which nobody answers there."""
    for detector in source.detectors:
        if detector.name not in (None, SHIPPED):
            yield f"the guard's classifier {detector.name} stays here, and what it runs on"
    for name, upstream in source.config.upstreams.items():
        if upstream.discover is not None and upstream.discover.file is not None:
            yield (
                f"upstream {name}: {upstream.discover.file} stays here; who changes it there puts "
                "it there"
            )
    if recipe.target not in IN_CONTAINERS:
        return
    for place, address in _addresses_here(source.config, rendered=recipe.foreign):
        yield (
            f"{place}: {shown_url(address)} is the gateway's own container there, where nobody "
            "answers; give a name that containers reach"
        )


def _addresses_here(
    config: GatewayConfig, *, rendered: dict[str, str]
) -> Iterator[tuple[str, str]]:
    """Place in the file and address. Redis' is left out: one is rendered in its stead."""
    for name, upstream in config.upstreams.items():
        url = upstream.url
        if name not in rendered and url is not None and is_at_this_machine(url):
            yield f"upstreams.{name}", url
    if config.traces is not None and is_at_this_machine(config.traces):
        yield "traces", config.traces
