"""How fast this machine reads memory and multiplies, measured in a moment and kept for a week.

A moment in which others computed is kept for a minute: they can only slow what is measured, so the
fastest of a week's moments counts.
"""

from __future__ import annotations

import os
import platform
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from llmops_cli.core.wrong_json import UNREADABLE
from llmops_cli.runtime.files import write_atomic
from llmops_cli.runtime.hardware import usable_cores
from llmops_cli.runtime.paths import cache_dir

FILE = "machine_speed.json"
KEPT_S = 7 * 24 * 3600
BUSY_KEPT_S = 60
BUSY_LOAD = 0.25
"""Processes that want a core, for each core."""
VECTOR = 8 << 20
"""Values of f32 in each vector: 32 MB, beyond any cache that a core has to itself."""
SIDE = 256
ROUNDS = 8
PRODUCT_ROUNDS = 60
"""Each takes half a millisecond: what else runs leaves some of them alone."""


class MachineSpeed(msgspec.Struct, frozen=True, kw_only=True):
    """Of all cores that this process may use together, f32.

    `node`: the machine's name, since several may share one cache. `is_busy`: others computed, and
    `read_at_s` and `multiplied_at_s` say when it did best, which may be before `measured_at_s`.
    """

    bytes_per_s: float
    flops: float
    cores: int
    node: str
    measured_at_s: float
    is_busy: bool = False
    read_at_s: float = 0.0
    multiplied_at_s: float = 0.0


def measured_speed() -> MachineSpeed:
    """As it was measured within a week, else anew (a quarter of a second)."""
    path = cache_dir() / FILE
    cores = usable_cores()
    kept = _kept(path, cores)
    if kept is not None and _is_good_still(kept):
        return kept
    found = _faster(measure(cores), kept)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, msgspec.json.encode(found))
    return found


def _kept(path: Path, cores: int) -> MachineSpeed | None:
    """Of this machine, within a week."""
    try:
        kept = msgspec.json.decode(path.read_bytes(), type=MachineSpeed)
    except (OSError, *UNREADABLE):
        return None
    is_ours = (kept.node, kept.cores) == (platform.node(), cores)
    return kept if is_ours and _is_recent(kept.measured_at_s) else None


def _is_recent(at_s: float) -> bool:
    """Within a week."""
    return 0 <= time.time() - at_s < KEPT_S


def _is_good_still(kept: MachineSpeed) -> bool:
    if kept.is_busy:
        return time.time() - kept.measured_at_s < BUSY_KEPT_S
    return _is_recent(min(kept.read_at_s, kept.multiplied_at_s))


def _faster(found: MachineSpeed, kept: MachineSpeed | None) -> MachineSpeed:
    """`found`, with what a busy moment within a week before it did better."""
    if kept is None or not kept.is_busy:
        return found
    if kept.bytes_per_s > found.bytes_per_s and _is_recent(kept.read_at_s):
        found = msgspec.structs.replace(
            found, bytes_per_s=kept.bytes_per_s, read_at_s=kept.read_at_s
        )
    if kept.flops > found.flops and _is_recent(kept.multiplied_at_s):
        found = msgspec.structs.replace(
            found, flops=kept.flops, multiplied_at_s=kept.multiplied_at_s
        )
    return found


def measure(cores: int) -> MachineSpeed:
    """The best of a few rounds: what else runs can only slow them."""
    import numpy

    vectors = [numpy.ones(VECTOR, dtype=numpy.float32) for _ in range(cores)]
    square_NN = numpy.ones((SIDE, SIDE), dtype=numpy.float32)
    with ThreadPoolExecutor(cores) as pool:
        read_s = min(_timed(pool, lambda at: vectors[at].sum(), cores) for _ in range(ROUNDS))
    product_s = min(_product_s(square_NN) for _ in range(PRODUCT_ROUNDS))
    now_s = time.time()
    return MachineSpeed(
        bytes_per_s=cores * VECTOR * 4 / read_s,
        flops=2 * SIDE**3 / product_s,
        cores=cores,
        node=platform.node(),
        measured_at_s=now_s,
        is_busy=os.getloadavg()[0] > BUSY_LOAD * cores,
        read_at_s=now_s,
        multiplied_at_s=now_s,
    )


def _timed(pool: ThreadPoolExecutor, work: object, cores: int) -> float:
    begin = time.perf_counter()
    list(pool.map(work, range(cores)))  # type: ignore[arg-type]
    return time.perf_counter() - begin


def _product_s(square_NN: object) -> float:
    begin = time.perf_counter()
    square_NN @ square_NN  # type: ignore[operator]
    return time.perf_counter() - begin
