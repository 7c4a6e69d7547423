"""The devices that a run is planned for: those that are named, or this machine's."""

from __future__ import annotations

from collections.abc import Mapping

import psutil

from llmops_cli.core.errors import UsageError
from llmops_cli.runtime.hardware import probe_gpus, probe_hardware, usable_cores
from llmops_cli.sizing.devices import (
    CPU,
    Cluster,
    Device,
    cpu_device,
    device_named,
    device_of_driver,
)

BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16"})


def cluster_of(*, gpu: str | None, nproc: int | None, nnodes: int | None) -> Cluster:
    """Of the GPU that is named, else those of this machine, else its processor.

    Raises: UsageError for a GPU that is not known.
    """
    nodes = nnodes or 1
    if gpu is not None and gpu != CPU:
        device = device_named(gpu)
        return Cluster(
            device=device, nodes=nodes, devices_per_node=nproc or device.devices_per_node
        )
    found = [] if gpu == CPU else probe_gpus()
    host_bytes = float(psutil.virtual_memory().total)
    if found:
        device = _gpu_here(found[0])
        per_node = nproc or len(found)
        return Cluster(device=device, nodes=nodes, devices_per_node=per_node, host_bytes=host_bytes)
    processes = nproc or 1
    device = cpu_device(
        memory_bytes=host_bytes,
        cores=usable_cores(),
        processes=processes,
        has_bf16=_processor_has_bf16(),
    )
    return Cluster(device=device, nodes=nodes, devices_per_node=processes)


def _gpu_here(found: Mapping[str, object]) -> Device:
    name = str(found["name"])
    memory_bytes = float(str(found["memory_bytes"]))
    device = device_of_driver(name, memory_bytes)
    if device is None:
        raise UsageError(f"GPU '{name}' is not in the table", hint="--gpu with one that is alike")
    return device


def _processor_has_bf16() -> bool:
    flags = probe_hardware()["cpu_flags"]
    return isinstance(flags, list) and not BF16_FLAGS.isdisjoint(flags)
