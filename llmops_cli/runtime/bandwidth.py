"""How fast this machine reads memory and multiplies, measured in a moment and kept for a week."""

from __future__ import annotations

import platform
import time
from concurrent.futures import ThreadPoolExecutor

import msgspec

from llmops_cli.runtime.files import write_atomic
from llmops_cli.runtime.hardware import usable_cores
from llmops_cli.runtime.paths import cache_dir

FILE = "machine_speed.json"
KEPT_S = 7 * 24 * 3600
VECTOR = 8 << 20
"""Values of f32 in each vector: 32 MB, beyond any cache that a core has to itself."""
SIDE = 256
ROUNDS = 8
PRODUCT_ROUNDS = 60
"""Each takes half a millisecond: what else runs leaves some of them alone."""


class MachineSpeed(msgspec.Struct, frozen=True, kw_only=True):
    """Of all cores that this process may use together, f32.

    `node`: the machine's name, since several may share one cache.
    """

    bytes_per_s: float
    flops: float
    cores: int
    node: str
    measured_at_s: float


def measured_speed() -> MachineSpeed:
    """As it was measured within a week, else anew (a quarter of a second)."""
    path = cache_dir() / FILE
    cores = usable_cores()
    try:
        kept = msgspec.json.decode(path.read_bytes(), type=MachineSpeed)
    except (OSError, msgspec.DecodeError):
        kept = None
    is_ours = kept is not None and (kept.node, kept.cores) == (platform.node(), cores)
    if kept and is_ours and 0 <= time.time() - kept.measured_at_s < KEPT_S:
        return kept
    found = measure(cores)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, msgspec.json.encode(found))
    return found


def measure(cores: int) -> MachineSpeed:
    """The best of a few rounds: what else runs can only slow them."""
    import numpy

    vectors = [numpy.ones(VECTOR, dtype=numpy.float32) for _ in range(cores)]
    square_NN = numpy.ones((SIDE, SIDE), dtype=numpy.float32)
    with ThreadPoolExecutor(cores) as pool:
        read_s = min(_timed(pool, lambda at: vectors[at].sum(), cores) for _ in range(ROUNDS))
    product_s = min(_product_s(square_NN) for _ in range(PRODUCT_ROUNDS))
    return MachineSpeed(
        bytes_per_s=cores * VECTOR * 4 / read_s,
        flops=2 * SIDE**3 / product_s,
        cores=cores,
        node=platform.node(),
        measured_at_s=time.time(),
    )


def _timed(pool: ThreadPoolExecutor, work: object, cores: int) -> float:
    begin = time.perf_counter()
    list(pool.map(work, range(cores)))  # type: ignore[arg-type]
    return time.perf_counter() - begin


def _product_s(square_NN: object) -> float:
    begin = time.perf_counter()
    square_NN @ square_NN  # type: ignore[operator]
    return time.perf_counter() - begin
