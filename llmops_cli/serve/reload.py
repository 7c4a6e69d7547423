"""A configuration file that changes while the gateway serves."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from llmops_cli.core.errors import EngineFailed
from llmops_cli.gateway_file.config import GatewayConfig
from llmops_cli.gateway_file.model import ModelConfig, upstream_of
from llmops_cli.serve.snapshot import Snapshot
from llmops_cli.serve.upstreams.members import Members, Watcher

FIXED = ("redis", "audit", "feedback", "traces")
FIXED_LIMITS = ("connections", "drain_s")
"""What a reload cannot change."""
ANSWERS_WITHIN_S = 5


def fixed_parts(before: GatewayConfig, after: GatewayConfig) -> str:
    """What has changed and changes only with the next start, by name."""
    names = [name for name in FIXED if getattr(before, name) != getattr(after, name)]
    limits = [each for each in FIXED_LIMITS if _limit(before, each) != _limit(after, each)]
    names += [f"limits.{each}" for each in limits]
    if _engines(before) != _engines(after):
        names.append("engines")
    return ", ".join(names)


def _limit(config: GatewayConfig, name: str) -> object:
    return getattr(config.limits, name)


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
        await _await_checks(after, pool)
        if not any(each.has_spoken and each.usable() for members in pool for each in members):
            raise EngineFailed(f"model {name}: nothing answers on the side {model.live}")


def _pool(snapshot: Snapshot, model: ModelConfig) -> list[Members]:
    return [snapshot.upstreams[upstream_of(member)] for member in model.members()]


async def _await_checks(watcher: Watcher, pool: list[Members]) -> None:
    """Until each was looked at once, or for as long as a switch may take."""
    for members in pool:
        members.watch(watcher)
    with suppress(TimeoutError):
        async with asyncio.timeout(ANSWERS_WITHIN_S):
            for members in pool:
                await members.looked()
