"""What would fit where nothing does: each change alone, and if none is enough, changes together."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from llmops_cli.sizing.architecture import Architecture
from llmops_cli.sizing.devices import Cluster
from llmops_cli.sizing.layout import Degrees
from llmops_cli.sizing.options import Option, option_of
from llmops_cli.sizing.quantities import gb
from llmops_cli.sizing.work import Work

SPREADING = ("fsdp", "fsdp+tp")
"""Strategies by which more devices mean less on each."""
OFFLOADING = ("fsdp", "zero3")
MOST_DEVICES = 4096


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A model, its work and where: what is changed here and there to see what fits."""

    architecture: Architecture
    work: Work
    cluster: Cluster
    degrees: Degrees

    def tried(self, strategy: str) -> Option:
        return option_of(
            self.architecture,
            self.work,
            self.cluster,
            strategy=strategy,
            degrees=self.degrees,
        )


def advice_for(
    architecture: Architecture,
    work: Work,
    cluster: Cluster,
    *,
    option: Option,
    degrees: Degrees,
) -> tuple[str, ...]:
    """Changes with which `option` would fit, the cheapest first."""
    assert option.layout is not None
    asked = Asked(architecture=architecture, work=work, cluster=cluster, degrees=degrees)
    shares = option.layout.shares
    found = list(_single_changes(asked, option.strategy, shares=shares))
    least = msgspec.structs.replace(asked, work=least_work(work, shares=shares))
    if not found and least.tried(option.strategy).fits:
        found.append(_least_in_words(least.work))
    found += _offloads(asked, is_least=not found)
    found += _more_devices(asked)
    return tuple(found)


def least_work(work: Work, *, shares: int) -> Work:
    """All blocks computed again, one row a pass."""
    rows = max(1, work.batch_size // shares)
    return msgspec.structs.replace(work, checkpointing="full", accumulate=rows)


def _least_in_words(work: Work) -> str:
    return f"--activation-checkpointing full --accumulate {work.accumulate}"


def _single_changes(asked: Asked, strategy: str, *, shares: int) -> Iterator[str]:
    for words, work in _changes(asked.work, shares=shares).items():
        if msgspec.structs.replace(asked, work=work).tried(strategy).fits:
            yield words


def _changes(work: Work, *, shares: int) -> dict[str, Work]:
    found = {}
    if work.checkpointing != "full":
        words = "--activation-checkpointing full"
        found[words] = msgspec.structs.replace(work, checkpointing="full")
    rows = work.batch_size // shares
    if rows > work.accumulate:
        words = f"--accumulate {rows} (one row a pass)"
        found[words] = msgspec.structs.replace(work, accumulate=rows)
    for part in (2, 4, 8):
        length = work.sequence_length // part
        words = f"--sequence-length {length}"
        found[words] = msgspec.structs.replace(work, sequence_length=length)
    return found


def _offloads(asked: Asked, *, is_least: bool) -> Iterator[str]:
    """To main memory; a processor has no other."""
    cluster = asked.cluster
    if cluster.device.is_cpu:
        return
    work = least_work(asked.work, shares=cluster.devices) if is_least else asked.work
    behind = f" {_least_in_words(work)}" if is_least else ""
    for what in ("optimizer", "parameters"):
        degrees = msgspec.structs.replace(asked.degrees, offload=what)
        changed = msgspec.structs.replace(asked, work=work, degrees=degrees)
        for name in OFFLOADING:
            option = changed.tried(name)
            if option.fits and option.memory is not None:
                host = gb(option.memory.host * cluster.devices_per_node)
                yield f"--strategy {name} --offload {what}{behind} ({host} of main memory a node)"
                break


def _more_devices(asked: Asked) -> Iterator[str]:
    """The first doubling of devices at which a spreading strategy fits with the least work."""
    cluster = asked.cluster
    while cluster.devices <= MOST_DEVICES:
        work = msgspec.structs.replace(
            asked.work, batch_size=cluster.devices, accumulate=1, checkpointing="full"
        )
        changed = msgspec.structs.replace(asked, cluster=cluster, work=work)
        names = [name for name in SPREADING if changed.tried(name).fits]
        if names:
            if cluster.devices > asked.cluster.devices:
                there = asked.cluster.devices
                yield (
                    f"{cluster.devices} devices instead of {there} "
                    f"(--strategy {names[0]}, a row a device, blocks computed again)"
                )
            return
        cluster = _doubled(cluster)


def _doubled(cluster: Cluster) -> Cluster:
    """More in the one machine up to its full 8, then more machines."""
    if cluster.nodes == 1 and cluster.devices_per_node < cluster.device.devices_per_node:
        return msgspec.structs.replace(cluster, devices_per_node=cluster.devices_per_node * 2)
    return msgspec.structs.replace(cluster, nodes=cluster.nodes * 2)
