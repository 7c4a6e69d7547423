"""NVIDIA's management library by ctypes, since engines' environments have no binding of it.

Signatures: nvml.h. Of each function the form that every driver since 2013 has.
"""

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

LIBRARY = "libnvidia-ml.so.1"
SUCCESS = 0
CHIP = 0
"""NVML_TEMPERATURE_GPU."""
TEXT_BYTES = 96
"""Of the longest name and UUID."""
MILLIWATTS = 1000

Value = TypeVar("Value")


class NvmlError(Exception):
    """No driver, no such function in it, or a card that does not tell."""


class _Utilization(ctypes.Structure):
    _fields_ = (("gpu", ctypes.c_uint), ("memory", ctypes.c_uint))


class _Memory(ctypes.Structure):
    _fields_ = (
        ("total", ctypes.c_ulonglong),
        ("free", ctypes.c_ulonglong),
        ("used", ctypes.c_ulonglong),
    )


@dataclass(frozen=True)
class CardReading:
    """Of one card; None is what its driver does not tell. `utilization` is a share of time."""

    gpu: str
    uuid: str
    card: str
    utilization: float | None
    memory_used_bytes: float | None
    memory_total_bytes: float | None
    temperature_celsius: float | None
    power_watts: float | None


class Nvml:
    """The cards of this machine, or those that a container was given.

    One that is lost is left out, and the others keep their numbers.
    """

    def __init__(self) -> None:
        """Raises: NvmlError without a driver, or with one that is not ready."""
        try:
            self._library = ctypes.CDLL(LIBRARY)
        except OSError as error:
            raise NvmlError(str(error)) from error
        self._call("nvmlInit_v2")
        count = ctypes.c_uint()
        self._call("nvmlDeviceGetCount_v2", ctypes.byref(count))
        self._cards: dict[int, ctypes.c_void_p] = {}
        self._lost: list[int] = []
        for number in range(count.value):
            try:
                self._cards[number] = self._handle(number)
            except NvmlError:
                self._lost.append(number)

    @property
    def is_whole(self) -> bool:
        """Whether there are cards, and none of them is lost."""
        return bool(self._cards) and not self._lost

    def close(self) -> None:
        """Another one may then find what this one did not."""
        _told(lambda: self._call("nvmlShutdown"))

    def readings(self) -> list[CardReading]:
        return [self._reading(str(number), each) for number, each in self._cards.items()]

    def _call(self, name: str, *arguments: object) -> None:
        """Raises: NvmlError."""
        function = getattr(self._library, name, None)
        if function is None:
            raise NvmlError(f"this driver has no {name}")
        code = function(*arguments)
        if code != SUCCESS:
            raise NvmlError(f"{name}: {code}")

    def _handle(self, number: int) -> ctypes.c_void_p:
        found = ctypes.c_void_p()
        self._call("nvmlDeviceGetHandleByIndex_v2", ctypes.c_uint(number), ctypes.byref(found))
        return found

    def _reading(self, number: str, handle: ctypes.c_void_p) -> CardReading:
        memory = _told(lambda: self._memory(handle))
        return CardReading(
            gpu=number,
            uuid=_told(lambda: self._text("nvmlDeviceGetUUID", handle)) or "",
            card=_told(lambda: self._text("nvmlDeviceGetName", handle)) or "",
            utilization=_told(lambda: self._utilization(handle)),
            memory_used_bytes=None if memory is None else float(memory.used),
            memory_total_bytes=None if memory is None else float(memory.total),
            temperature_celsius=_told(lambda: self._temperature(handle)),
            power_watts=_told(lambda: self._power(handle)),
        )

    def _text(self, name: str, handle: ctypes.c_void_p) -> str:
        buffer = ctypes.create_string_buffer(TEXT_BYTES)
        self._call(name, handle, buffer, ctypes.c_uint(TEXT_BYTES))
        return buffer.value.decode(errors="replace")

    def _memory(self, handle: ctypes.c_void_p) -> _Memory:
        found = _Memory()
        self._call("nvmlDeviceGetMemoryInfo", handle, ctypes.byref(found))
        return found

    def _utilization(self, handle: ctypes.c_void_p) -> float:
        found = _Utilization()
        self._call("nvmlDeviceGetUtilizationRates", handle, ctypes.byref(found))
        return int(found.gpu) / 100

    def _temperature(self, handle: ctypes.c_void_p) -> float:
        found = ctypes.c_uint()
        kind = ctypes.c_int(CHIP)
        self._call("nvmlDeviceGetTemperature", handle, kind, ctypes.byref(found))
        return float(found.value)

    def _power(self, handle: ctypes.c_void_p) -> float:
        found = ctypes.c_uint()
        self._call("nvmlDeviceGetPowerUsage", handle, ctypes.byref(found))
        return found.value / MILLIWATTS


def _told(ask: Callable[[], Value]) -> Value | None:
    try:
        return ask()
    except NvmlError:
        return None
