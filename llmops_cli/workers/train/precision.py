"""The number formats of a run: parameters in f32, the forward pass in what was asked for."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch

from train.settings import Settings

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "f32": torch.float32}
CPU_FLAGS = ("avx512_bf16", "amx_bf16")


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


def autocast(settings: Settings, device: torch.device) -> AbstractContextManager[None]:
    if settings.precision == "f32":
        return nullcontext()
    return torch.autocast(device.type, DTYPES[settings.precision])
