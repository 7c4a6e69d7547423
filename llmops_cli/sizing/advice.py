"""What would fit where nothing does: each change alone, and if none is enough, changes together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from llmops_cli.sizing.architecture import Architecture
from llmops_cli.sizing.devices import Cluster
from llmops_cli.sizing.layout import STRATEGIES, Degrees
from llmops_cli.sizing.options import Option, option_of
from llmops_cli.sizing.quantities import gb
from llmops_cli.sizing.work import Work

SPREADING = ("fsdp", "fsdp+tp")
"""Strategies by which more devices mean less on each."""
OFFLOADING = ("fsdp", "zero3")
MOST_DEVICES = 4096
FASTER = 1.1
"""By how much another way must be faster to be worth saying."""


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
    options: Sequence[Option],
    degrees: Degrees,
) -> tuple[str, ...]:
    """Changes with which one of `options` would fit, the cheapest first.

    Single changes of the strategy that is simplest to take, else of the next; several at once only
    where none is enough alone.
    """
    asked = Asked(architecture=architecture, work=work, cluster=cluster, degrees=degrees)
    found: list[str] = []
    for option in options:
        if option.layout is not None and not found:
            found = list(_single_changes(asked, option))
    if not found:
        found = list(_least_changes(asked, options))
    found += _offloads(asked, is_least=not found)
    found += _more_devices(asked)
    return tuple(found)


def advice_of(
    architecture: Architecture,
    work: Work,
    cluster: Cluster,
    *,
    option: Option,
    degrees: Degrees,
) -> tuple[str, ...]:
    """Single changes with which this very option would fit."""
    asked = Asked(architecture=architecture, work=work, cluster=cluster, degrees=degrees)
    return tuple(_single_changes(asked, option))


def faster_for(
    architecture: Architecture,
    work: Work,
    cluster: Cluster,
    *,
    chosen: Option,
    options: Sequence[Option],
    degrees: Degrees,
) -> tuple[str, ...]:
    """Changes by which a simpler strategy would fit, and be faster than the one that does now."""
    asked = Asked(architecture=architecture, work=work, cluster=cluster, degrees=degrees)
    found = []
    for option in options:
        is_simpler = STRATEGIES.index(option.strategy) < STRATEGIES.index(chosen.strategy)
        if option.layout is None or option.fits or not is_simpler:
            continue
        for words, changed in _changes(work, shares=option.layout.shares).items():
            again = msgspec.structs.replace(asked, work=changed).tried(option.strategy)
            if again.fits and again.tokens_per_s > FASTER * chosen.tokens_per_s:
                speed = f"{again.tokens_per_s:,.0f} instead of {chosen.tokens_per_s:,.0f} tokens/s"
                found.append(f"--strategy {option.strategy} {words}: {speed} by prediction")
                break
    return tuple(found)


def least_work(work: Work, *, shares: int) -> Work:
    """All blocks computed again, one row a pass."""
    rows = max(1, work.batch_size // shares)
    return msgspec.structs.replace(work, checkpointing="full", accumulate=rows)


def _least_in_words(work: Work) -> str:
    return f"--activation-checkpointing full --accumulate {work.accumulate}"


def _least_changes(asked: Asked, options: Sequence[Option]) -> Iterator[str]:
    for option in options:
        if option.layout is not None:
            work = least_work(asked.work, shares=option.layout.shares)
            if msgspec.structs.replace(asked, work=work).tried(option.strategy).fits:
                yield f"--strategy {option.strategy} {_least_in_words(work)}"
                return


def _single_changes(asked: Asked, option: Option) -> Iterator[str]:
    """Shorter rows only where nothing else helps: they change what is learnt."""
    assert option.layout is not None
    name = f"--strategy {option.strategy}"
    is_found = False
    for words, work in _changes(asked.work, shares=option.layout.shares).items():
        if msgspec.structs.replace(asked, work=work).tried(option.strategy).fits:
            is_found = True
            yield f"{name} {words}"
    for part in (2, 4, 8):
        length = asked.work.sequence_length // part
        work = msgspec.structs.replace(asked.work, sequence_length=length)
        is_fitting = msgspec.structs.replace(asked, work=work).tried(option.strategy).fits
        if is_fitting and not is_found:
            is_found = True
            yield f"{name} --sequence-length {length}"


def _changes(work: Work, *, shares: int) -> dict[str, Work]:
    """What leaves the result of a step as it is, the cheapest in time first."""
    found = {}
    rows = work.batch_size // shares
    accumulate = 2 * work.accumulate
    while accumulate <= rows:
        if rows % accumulate == 0:
            words = f"--accumulate {accumulate}"
            found[words] = msgspec.structs.replace(work, accumulate=accumulate)
        accumulate *= 2
    for how in ("selective", "full"):
        if work.checkpointing not in {how, "full"}:
            words = f"--activation-checkpointing {how}"
            found[words] = msgspec.structs.replace(work, checkpointing=how)
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
                    f"{cluster.devices} devices instead of {there} (--strategy {names[0]} "
                    f"--batch-size {cluster.devices} --accumulate 1 "
                    "--activation-checkpointing full)"
                )
            return
        cluster = _doubled(cluster)


def _doubled(cluster: Cluster) -> Cluster:
    """More in the one machine up to its full 8, then more machines."""
    if cluster.nodes == 1 and cluster.devices_per_node < cluster.device.devices_per_node:
        return msgspec.structs.replace(cluster, devices_per_node=cluster.devices_per_node * 2)
    return msgspec.structs.replace(cluster, nodes=cluster.nodes * 2)
