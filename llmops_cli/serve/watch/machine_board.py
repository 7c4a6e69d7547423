"""What the gateway's processes take of this machine, and what its cards do, when somebody reads."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

import msgspec
import psutil
from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from llmops_cli.runtime.gpu_readings import GpuReadings
from llmops_cli.runtime.memory import processes_below

READ_MOST = 3
"""Times that all processes are read for one answer, while some of them end."""


class MachineFamily(msgspec.Struct, frozen=True, kw_only=True):
    """`dcgm`: the name of the same thing in NVIDIA's exporter."""

    text: str
    counts: bool = False
    labels: tuple[str, ...] = ()
    dcgm: str = ""


GPU = ("gpu", "uuid", "card")
PROCESSES = {
    "processes": MachineFamily(text="The gateway's: workers and judges, engines that it started"),
    "resident_bytes": MachineFamily(text="Memory of all of them (RSS; shared pages count each)"),
    "cpu_seconds": MachineFamily(text="CPU time of all, those that ended included", counts=True),
    "open_files": MachineFamily(text="Files and sockets that they have open"),
}
GPUS = {
    "gpu_utilization": MachineFamily(
        text="Share of time in which a kernel ran", labels=GPU, dcgm="DCGM_FI_DEV_GPU_UTIL"
    ),
    "gpu_memory_used_bytes": MachineFamily(
        text="Of the card's memory", labels=GPU, dcgm="DCGM_FI_DEV_FB_USED"
    ),
    "gpu_memory_total_bytes": MachineFamily(
        text="All that it has", labels=GPU, dcgm="DCGM_FI_DEV_FB_TOTAL"
    ),
    "gpu_temperature_celsius": MachineFamily(
        text="Of the chip", labels=GPU, dcgm="DCGM_FI_DEV_GPU_TEMP"
    ),
    "gpu_power_watts": MachineFamily(
        text="That it draws", labels=GPU, dcgm="DCGM_FI_DEV_POWER_USAGE"
    ),
}


class MachineBoard(Collector):
    """`root`: the process of the gateway that started all others; None: this one."""

    def __init__(self, prefix: str, *, root: int | None = None) -> None:
        self._prefix = prefix
        self._root = root or os.getpid()
        self._gpus = GpuReadings()

    def collect(self) -> Iterable[Metric]:
        yield from self._of_processes()
        yield from self._of_gpus()

    def describe(self) -> Iterable[Metric]:
        """Nothing is collected only to be registered."""
        return ()

    def _of_processes(self) -> Iterator[Metric]:
        values = _processes(self._root)
        for name, family in PROCESSES.items():
            metric = self._metric(name, family)
            metric.add_metric((), values[name])
            yield metric

    def _of_gpus(self) -> Iterator[Metric]:
        readings = self._gpus.now()
        if not readings:
            return
        for name, family in GPUS.items():
            metric = self._metric(name, family)
            field = name.removeprefix("gpu_")
            for reading in readings:
                value = getattr(reading, field)
                if value is not None:
                    metric.add_metric((reading.gpu, reading.uuid, reading.card), value)
            yield metric

    def _metric(self, name: str, family: MachineFamily) -> Any:  # Any: the library's families
        kind: Any = CounterMetricFamily if family.counts else GaugeMetricFamily
        return kind(self._prefix + name, family.text, labels=family.labels)


def _processes(root: int) -> dict[str, float]:
    """Read anew where one ended meanwhile: its time would count twice, or not at all.

    A count that falls is one that began anew to Prometheus, which adds all of it to a rate.
    """
    values: dict[str, float] = {}
    for _ in range(READ_MOST):
        before = _tree(root)
        values = _read(before)
        if _tree(root) == before:
            break
    return values


def _tree(root: int) -> list[psutil.Process]:
    found = processes_below(root)
    with suppress(psutil.Error):
        found.append(psutil.Process(root))
    return found


def _read(tree: list[psutil.Process]) -> dict[str, float]:
    """One that has ended and was not yet waited for has no files, and still its time."""
    values = dict.fromkeys(PROCESSES, 0.0)
    for process in tree:
        with suppress(psutil.Error):
            times = process.cpu_times()
            values["processes"] += 1
            values["cpu_seconds"] += times.user + times.system
            values["cpu_seconds"] += times.children_user + times.children_system
        with suppress(psutil.Error):
            values["resident_bytes"] += process.memory_info().rss
        with suppress(psutil.Error):
            values["open_files"] += process.num_fds()
    return values
