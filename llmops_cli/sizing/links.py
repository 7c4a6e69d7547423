"""How long a step's communication takes, by layout and link."""

from __future__ import annotations

import msgspec

from llmops_cli.sizing.architecture import Architecture
from llmops_cli.sizing.devices import Cluster
from llmops_cli.sizing.layout import Layout
from llmops_cli.sizing.memory import passes, tokens_per_pass
from llmops_cli.sizing.parameters import parameter_count
from llmops_cli.sizing.work import FORMAT_BYTES, Work

LINK_SHARE = 0.75
"""Of a link's bandwidth, what NCCL reaches with large messages (nccl-tests: 360 of 450 GB/s)."""
HOST_LINK_BYTES_PER_S = 25e9
"""PCIe 4 as it is reached, for what is offloaded."""
HOST_UPDATE_BYTES_PER_S = 60e9
"""Main memory's bandwidth while the processor updates parameters, shared by a machine's devices."""
F32 = 4


class Communication(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds of a step. hideable: can run beside computation; exposed: nothing else can run."""

    hideable_s: float
    exposed_s: float
    bytes_sent: float


def communication(
    architecture: Architecture,
    work: Work,
    layout: Layout,
    cluster: Cluster,
) -> Communication:
    weights = parameter_count(architecture) / (layout.tensor * layout.pipeline)
    shared = _data_parallel_bytes(weights, work, layout)
    speed = bandwidth(cluster, layout.shares * layout.tensor * layout.context)
    tensor = _tensor_bytes(architecture, work, layout)
    stages = _stage_bytes(architecture, work, layout)
    exposed_s = tensor / bandwidth(cluster, layout.tensor)
    exposed_s += stages / bandwidth(cluster, cluster.devices)
    exposed_s += _offload_s(weights, layout, cluster)
    return Communication(
        hideable_s=shared / speed,
        exposed_s=exposed_s,
        bytes_sent=shared + tensor + stages,
    )


def bandwidth(cluster: Cluster, group: int) -> float:
    """Bytes a second for each device of a group; one that spans machines uses all their links."""
    device = cluster.device
    speed = device.link_bytes_per_s
    if group > cluster.devices_per_node:
        network = device.network_bytes_per_s * cluster.devices_per_node
        speed = min(speed, network)
    return speed * LINK_SHARE


def _around(count: int) -> float:
    """What a ring sends of a whole tensor: all but the own part."""
    return (count - 1) / count


def _data_parallel_bytes(weights: float, work: Work, layout: Layout) -> float:
    """Of weights and gradients (arXiv:1910.02054, section 7).

    DDP reduces and spreads gradients; FSDP and ZeRO-3 gather weights twice for each pass, and
    reduce its gradients once.
    """
    compute = FORMAT_BYTES[work.precision]
    total = 0.0
    if layout.zero == 3:
        total += weights * _around(layout.replicas) * 3 * compute * work.accumulate
    elif layout.zero:
        total += weights * _around(layout.replicas) * 2 * compute
    elif layout.replicas > 1:
        whole = weights / layout.shards
        total += whole * _around(layout.replicas) * 2 * F32
    if layout.shards > 1:
        gathers = 2 * passes(work, layout) if layout.pipeline == 1 else 2
        total += weights * _around(layout.shards) * (gathers * compute + F32)
    return total


def _tensor_bytes(architecture: Architecture, work: Work, layout: Layout) -> float:
    """Sums over the group: two in each block forward, two backward (arXiv:1909.08053, section 3).

    Those of the forward pass come again when a block is recomputed.
    """
    if layout.tensor == 1:
        return 0.0
    sums = 4 if work.checkpointing == "none" else 6
    blocks = len(architecture.blocks) / layout.pipeline
    tokens = tokens_per_pass(work, layout) * passes(work, layout)
    each = tokens * architecture.hidden_size * FORMAT_BYTES[work.precision]
    return sums * blocks * each * 2 * _around(layout.tensor)


def _stage_bytes(architecture: Architecture, work: Work, layout: Layout) -> float:
    """Hidden states to the next stage and their gradients back, for each chunk."""
    if layout.pipeline == 1:
        return 0.0
    tokens = tokens_per_pass(work, layout) * passes(work, layout)
    each = tokens * architecture.hidden_size * FORMAT_BYTES[work.precision]
    return 2 * each * layout.chunks


def _offload_s(weights: float, layout: Layout, cluster: Cluster) -> float:
    """Gradients go down, weights come up, and the processor reads and writes all of the state."""
    if layout.offload == "none":
        return 0.0
    own = weights / (layout.shards * max(1, layout.replicas if layout.zero else 1))
    moved_s = own * 2 * F32 / HOST_LINK_BYTES_PER_S
    updated_s = own * cluster.devices_per_node * 7 * F32 / HOST_UPDATE_BYTES_PER_S
    return moved_s + updated_s
