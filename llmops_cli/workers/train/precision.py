"""The number formats of a run: parameters in f32, the forward pass in what was asked for."""

import math
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "f32": torch.float32}
CPU_FLAGS = ("avx512_bf16", "amx_bf16")
FIRST_SCALE = 2.0**16
GROWS_AFTER_STEPS = 2000


def resolve_precision(asked: str, device: torch.device) -> str:
    """`auto` is bf16 where the machine multiplies it itself, else f32."""
    if asked != "auto":
        return asked
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported() else "f32"
    path = Path("/proc/cpuinfo")
    flags = path.read_text() if path.exists() else ""
    if any(flag in flags for flag in CPU_FLAGS):
        return "bf16"
    return "f32"


def autocast(precision: str, device: torch.device) -> AbstractContextManager[None]:
    if precision == "f32":
        return nullcontext()
    return torch.autocast(device.type, DTYPES[precision])


class LossScale:
    """What losses are multiplied by so that gradients in fp16 do not vanish.

    A step whose gradients overflow is left out and halves it; 2000 good ones in a row double it.
    It is decided by the norm of all gradients, which every rank knows alike. In other precisions
    it stays 1.
    """

    def __init__(self, *, is_used: bool) -> None:
        self.value = FIRST_SCALE if is_used else 1.0
        self.overflowed = False
        self.skipped = 0
        self._is_used = is_used
        self._good_steps = 0

    @classmethod
    def of(cls, precision: str) -> "LossScale":
        return cls(is_used=precision == "fp16")

    def observe(self, norm: float) -> None:
        self.overflowed = self._is_used and not math.isfinite(norm)

    def adapt(self) -> None:
        if not self._is_used:
            return
        if self.overflowed:
            self.value = max(1.0, self.value / 2)
            self.skipped += 1
            self._good_steps = 0
            return
        self._good_steps += 1
        if self._good_steps == GROWS_AFTER_STEPS:
            self.value *= 2
            self._good_steps = 0

    def state(self) -> dict[str, Any]:
        if not self._is_used:
            return {}
        kept = [self.value, float(self._good_steps), float(self.skipped)]
        return {"loss_scale": torch.tensor(kept, dtype=torch.float64)}

    def restore(self, state: dict[str, Any]) -> None:
        if not self._is_used:
            return
        value, good_steps, skipped = state["loss_scale"].tolist()
        self.value = value
        self._good_steps = int(good_steps)
        self.skipped = int(skipped)
