"""Gauges of processes and cards, against a driver that is played."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from types import ModuleType, SimpleNamespace

import psutil
import pytest
from prometheus_client import CollectorRegistry

from llmops_cli.runtime.gpu_readings import GpuReadings
from llmops_cli.serve.watch.machine_board import MachineBoard


class NVMLError(Exception):
    """As the library's own."""


def driver(cards: int, **more: object) -> ModuleType:
    """A library that tells the same of each card, but for what `more` replaces."""
    nvml = ModuleType("pynvml")
    told = {
        "NVMLError": NVMLError,
        "NVML_TEMPERATURE_GPU": 0,
        "nvmlInit": lambda: None,
        "nvmlDeviceGetCount": lambda: cards,
        "nvmlDeviceGetHandleByIndex": lambda number: number,
        "nvmlDeviceGetUtilizationRates": lambda handle: SimpleNamespace(gpu=40 + handle),
        "nvmlDeviceGetMemoryInfo": lambda handle: SimpleNamespace(used=2**30, total=2**32),
        "nvmlDeviceGetTemperature": lambda handle, kind: 61,
        "nvmlDeviceGetPowerUsage": lambda handle: 250_000,
        "nvmlDeviceGetUUID": lambda handle: f"GPU-{handle}".encode(),
        "nvmlDeviceGetName": lambda handle: "H200",
        **more,
    }
    for name, value in told.items():
        setattr(nvml, name, value)
    return nvml


def eventually(ask: Callable[[], object]) -> object:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        found = ask()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError("nothing came")


def board() -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(MachineBoard("x_"))
    return registry


def test_cards_are_told_with_what_their_driver_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_power(handle: int) -> int:
        raise NVMLError

    monkeypatch.setitem(sys.modules, "pynvml", driver(2, nvmlDeviceGetPowerUsage=no_power))
    registry = board()
    second = {"gpu": "1", "uuid": "GPU-1", "card": "H200"}
    value = registry.get_sample_value
    assert eventually(lambda: value("x_gpu_utilization", second)) == 0.41
    assert value("x_gpu_memory_used_bytes", second) == 2**30
    assert value("x_gpu_memory_total_bytes", second) == 2**32
    assert value("x_gpu_temperature_celsius", second) == 61
    assert value("x_gpu_power_watts", second) is None


def test_a_driver_that_hangs_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    hung = threading.Event()
    calls: list[int] = []

    def once(handle: int) -> SimpleNamespace:
        calls.append(handle)
        if len(calls) > 1:
            hung.wait(20)
        return SimpleNamespace(gpu=40)

    nvml = driver(1, nvmlDeviceGetUtilizationRates=once)
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    readings = GpuReadings(every_s=0.01, stale_s=0.3)
    assert eventually(readings.now)
    begin = time.monotonic()
    eventually(lambda: not readings.now())  # what is old is told as nothing
    assert time.monotonic() - begin < 5
    hung.set()


def test_without_a_driver_there_are_processes_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    names = {metric.name for metric in board().collect()}
    assert names == {"x_processes", "x_resident_bytes", "x_cpu_seconds", "x_open_files"}


def test_processes_are_counted_with_those_below_and_cpu_time_never_falls() -> None:
    registry = board()
    value = registry.get_sample_value
    before = value("x_cpu_seconds_total")
    alone = value("x_processes")
    assert before is not None
    assert alone is not None
    burn = "import time\nwhile time.process_time() < 0.3: pass\ninput()"
    child = subprocess.Popen([sys.executable, "-c", burn], stdin=subprocess.PIPE)
    eventually(lambda: (value("x_cpu_seconds_total") or 0) >= before + 0.25)
    assert value("x_processes") == alone + 1
    during = value("x_cpu_seconds_total")
    child.communicate(b"\n")
    after = value("x_cpu_seconds_total")
    assert during is not None
    assert after is not None
    assert after >= during - 0.02  # the kernel counts in hundredths
    assert (value("x_resident_bytes") or 0) > 1e7
    assert (value("x_open_files") or 0) >= len(os.listdir("/proc/self/fd")) - 2


def test_the_time_of_one_that_ended_and_was_not_waited_for_still_counts() -> None:
    """A count that falls began anew to Prometheus, which adds all of it to a rate."""
    registry = board()
    value = registry.get_sample_value
    before = value("x_cpu_seconds_total")
    assert before is not None
    burn = "import time\nwhile time.process_time() < 0.3: pass"
    child = subprocess.Popen([sys.executable, "-c", burn])
    state = psutil.Process(child.pid)
    eventually(lambda: state.status() == psutil.STATUS_ZOMBIE)
    assert (value("x_cpu_seconds_total") or 0) >= before + 0.25
    child.wait()
    assert (value("x_cpu_seconds_total") or 0) >= before + 0.25
