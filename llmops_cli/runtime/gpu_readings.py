"""What NVIDIA's cards of this machine are doing, read aside every few seconds.

A driver that hangs keeps its reader waiting, never who asks: what is old is told as nothing.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec

EVERY_S = 5.0
STALE_S = 30.0
AGAIN_S = 120.0
"""A driver may not be ready when a machine starts, and a card that was lost may come back."""
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
    """Those of a moment ago. The reader begins with the first question."""

    def __init__(
        self,
        *,
        every_s: float = EVERY_S,
        stale_s: float = STALE_S,
        again_s: float = AGAIN_S,
    ) -> None:
        self._every_s = every_s
        self._stale_s = stale_s
        self._again_s = again_s
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
        while True:
            cards = _cards()
            until = time.monotonic() + self._again_s
            while cards.are_whole or (cards.handles and time.monotonic() < until):
                self._read = cards.readings()
                self._read_at = time.monotonic()
                time.sleep(self._every_s)
            if not cards.handles:
                time.sleep(self._again_s)
            cards.close()


class _Cards(msgspec.Struct, frozen=True, kw_only=True):
    """`handles`: by number, of those that are not lost. `nvml`: None without a driver."""

    nvml: Any  # Any: an untyped library
    count: int = 0
    handles: dict[int, object] = {}

    @property
    def are_whole(self) -> bool:
        """Whether there are cards, and none of them is lost."""
        return 0 < self.count == len(self.handles)

    def readings(self) -> list[GpuReading]:
        return [_reading(self.nvml, number, each) for number, each in self.handles.items()]

    def close(self) -> None:
        """Another look may then find what this one did not."""
        if self.nvml is not None:
            with suppress(Exception):
                self.nvml.nvmlShutdown()


def _cards() -> _Cards:
    """None of them without a driver, its library, or rights."""
    try:
        import pynvml

        pynvml.nvmlInit()
    except Exception:  # noqa: BLE001 - no driver, no library or no rights: no card to read
        return _Cards(nvml=None)
    count = 0
    handles = {}
    with suppress(Exception):
        count = pynvml.nvmlDeviceGetCount()
    for number in range(count):
        with suppress(Exception):  # a card that is lost hides no other
            handles[number] = pynvml.nvmlDeviceGetHandleByIndex(number)
    return _Cards(nvml=pynvml, count=count, handles=handles)


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
