"""A configuration file that changes while the gateway serves."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from llmops_cli.core.errors import EngineFailed
from llmops_cli.gateway_file.config import GatewayConfig
from llmops_cli.gateway_file.model import ModelConfig, upstream_of
from llmops_cli.serve.snapshot import Snapshot
from llmops_cli.serve.upstreams.upstream import Upstream

FIXED = ("redis", "audit", "traces")
"""What a reload cannot change."""
ANSWERS_WITHIN_S = 5


def fixed_parts(before: GatewayConfig, after: GatewayConfig) -> str:
    """What has changed and changes only with the next start, by name."""
    names = [name for name in FIXED if getattr(before, name) != getattr(after, name)]
    if before.limits.connections != after.limits.connections:
        names.append("limits.connections")
    if _engines(before) != _engines(after):
        names.append("engines")
    return ", ".join(names)


def _engines(config: GatewayConfig) -> dict[str, object]:
    return {
        name: (upstream.engine, upstream.model, upstream.replicas, upstream.options)
        for name, upstream in config.upstreams.items()
        if upstream.engine
    }


async def await_live_sides(before: Snapshot, after: Snapshot) -> None:
    """A blue-green switch waits for the new side to answer. Raises: EngineFailed if it does not."""
    for name, model in after.config.models.items():
        old = before.config.models.get(name)
        if model.live is None or old is None or old.live == model.live:
            continue
        pool = _pool(after, model)
        await _await_checks(pool)
        if not any(upstream.has_spoken and upstream.usable() for upstream in pool):
            raise EngineFailed(f"model {name}: nothing answers on the side {model.live}")


def _pool(snapshot: Snapshot, model: ModelConfig) -> list[Upstream]:
    names = [upstream_of(member) for member in model.members()]
    return [upstream for name in names for upstream in snapshot.upstreams[name]]


async def _await_checks(pool: list[Upstream]) -> None:
    """Until each was looked at once, or for as long as a switch may take."""
    for upstream in pool:
        if not upstream.watched:
            upstream.watch(_ignore)
    with suppress(TimeoutError):
        async with asyncio.timeout(ANSWERS_WITHIN_S):
            for upstream in pool:
                await upstream.checked.wait()


def _ignore(upstream: Upstream) -> None:
    del upstream
