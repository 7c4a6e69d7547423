"""What NVIDIA's cards of this machine are doing, read aside every few seconds.

A driver that hangs keeps its reader waiting, never who asks: what is old is told as nothing.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from typing import Any

import msgspec

EVERY_S = 5.0
STALE_S = 30.0
MILLIWATTS = 1000


class GpuReading(msgspec.Struct, frozen=True, kw_only=True):
    """Of one card; None is what its driver does not tell. `utilization` is a share of time."""

    gpu: str
    uuid: str
    card: str
    utilization: float | None
    memory_used_bytes: float | None
    memory_total_bytes: float | None
    temperature_celsius: float | None
    power_watts: float | None


class GpuReadings:
    """Those of a moment ago. The reader begins with the first question, where there are cards."""

    def __init__(self, *, every_s: float = EVERY_S, stale_s: float = STALE_S) -> None:
        self._every_s = every_s
        self._stale_s = stale_s
        self._lock = threading.Lock()
        self._has_begun = False
        self._read: list[GpuReading] = []
        self._read_at = -math.inf

    def now(self) -> list[GpuReading]:
        """Empty at first, without cards, and where the driver has not answered for a while."""
        with self._lock:
            if not self._has_begun:
                self._has_begun = True
                threading.Thread(target=self._go_on, daemon=True, name="gpu-readings").start()
        is_fresh = time.monotonic() - self._read_at < self._stale_s
        return self._read if is_fresh else []

    def _go_on(self) -> None:
        read = _reader()
        while read is not None:
            self._read = read()
            self._read_at = time.monotonic()
            time.sleep(self._every_s)


def _reader() -> Callable[[], list[GpuReading]] | None:
    """None without a driver, its library, or cards."""
    try:
        import pynvml

        pynvml.nvmlInit()
        count = pynvml.nvmlDeviceGetCount()
        handles = [pynvml.nvmlDeviceGetHandleByIndex(number) for number in range(count)]
    except Exception:  # noqa: BLE001 - no driver, no library or no rights: no card to read
        return None
    if not handles:
        return None
    return lambda: [_reading(pynvml, number, each) for number, each in enumerate(handles)]


def _reading(nvml: Any, number: int, handle: object) -> GpuReading:  # Any: an untyped library
    def told(ask: Callable[[], Any]) -> Any:  # Any: likewise
        try:
            return ask()
        except nvml.NVMLError:
            return None

    rates = told(lambda: nvml.nvmlDeviceGetUtilizationRates(handle))
    memory = told(lambda: nvml.nvmlDeviceGetMemoryInfo(handle))
    power = told(lambda: nvml.nvmlDeviceGetPowerUsage(handle))
    return GpuReading(
        gpu=str(number),
        uuid=_text(told(lambda: nvml.nvmlDeviceGetUUID(handle))),
        card=_text(told(lambda: nvml.nvmlDeviceGetName(handle))),
        utilization=None if rates is None else rates.gpu / 100,
        memory_used_bytes=None if memory is None else float(memory.used),
        memory_total_bytes=None if memory is None else float(memory.total),
        temperature_celsius=told(
            lambda: float(nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU))
        ),
        power_watts=None if power is None else power / MILLIWATTS,
    )


def _text(value: object) -> str:
    """Older bindings tell bytes."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return "" if value is None else str(value)
