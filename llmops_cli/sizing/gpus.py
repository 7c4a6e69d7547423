"""What serving needs to know of a GPU beside sizing.devices: formats, prices, and who says so."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from llmops_cli.core.errors import UsageError, unknown_name
from llmops_cli.sizing.devices import ALIASES, BY_NAME, GIB, GIGA, Device
from llmops_cli.sizing.gpu_facts import DESKTOP, FACTS, NAMED, UNIFIED_SHARES, GpuFacts
from llmops_cli.sizing.gpu_features import features_on

F32_OF_TENSOR = 0.5
"""Where a card's f32 rate is not in the table: as of GeForce cards since Ampere."""
SAME_MEMORY = 0.15
"""By so much names differ from what a card has: an H200's 141 GB, an RTX PRO 6000's 96."""
_WORDS = re.compile(r"\b(?:nvidia|geforce|amd|radeon|apple|tesla|unit|gpus?|sxm\d?|server)\b")
_COUNT = re.compile(r"^(\d{1,4}) ?x ?(?=\D)")
_MEMORY = re.compile(r"-(\d{1,3})(?:\.\d+)? ?(?:gib|gb|g)$")
_TOLD_MEMORY = re.compile(r"(?<![\w.])(\d{1,3})(?:\.\d+)? ?(?:gib|gb|g)\b(?!/s)")
_SPEED = re.compile(r"([\d.]+) ?(gb|tb)/s")


class Gpu(msgspec.Struct, frozen=True, kw_only=True):
    """A card with all that is known of it."""

    device: Device
    facts: GpuFacts

    @property
    def name(self) -> str:
        return self.device.name

    @property
    def f32_flops(self) -> float:
        return self.device.f32_flops or self.device.bf16_flops * F32_OF_TENSOR

    @property
    def has_flash_attention(self) -> bool | None:
        """FlashAttention 2. None: no NVIDIA card."""
        return self.has("FlashAttention 2")

    @property
    def has_fp8(self) -> bool | None:
        return self.has("FP8 products (W8A8)")

    def has(self, name: str) -> bool | None:
        """A feature of sizing.gpu_features. None: no NVIDIA card."""
        capability = self.facts.capability
        if capability is None:
            return None
        return any(each.name == name for each in features_on(capability))


class NamedGpus(msgspec.Struct, frozen=True, kw_only=True):
    """GPUs as a sentence names them: `2x RTX 3090`."""

    gpu: Gpu
    count: int = 1


OwnGpus = Mapping[str, Gpu]
KNOWN: dict[str, Device] = BY_NAME | {device.name: device for device in DESKTOP}


def gpu_named(name: str, own: OwnGpus | None = None) -> Gpu:
    """By our name, or as data sheets and tools write it: `NVIDIA GeForce RTX 4090 24GB`.

    Raises: UsageError for one that is in no table, with the nearest.
    """
    return read_gpus(name, own).gpu


def read_gpus(text: str, own: OwnGpus | None = None) -> NamedGpus:
    """A name with a count before it, and a bandwidth in brackets behind it, which wins.

    Raises: UsageError for an unknown name.
    """
    plain = text.strip().lower()
    told = _SPEED.search(plain)
    plain = re.sub(r"\(.*", "", plain).strip()
    plain = re.sub(r",.*", "", plain)
    plain = re.sub(r"(\d) (gib|gb)\b", r"\1\2", plain)
    count = 1
    counted = _COUNT.match(plain)
    if counted:
        count = int(counted.group(1))
        plain = plain[counted.end() :]
    gpu = _found(plain, text, own or {})
    if told:
        scale = GIGA * (1000 if told.group(2) == "tb" else 1)
        speed = float(told.group(1)) * scale
        device = msgspec.structs.replace(gpu.device, memory_bytes_per_s=speed)
        gpu = msgspec.structs.replace(gpu, device=device)
    return NamedGpus(gpu=gpu, count=count)


def _with_memory(gpu: Gpu, plain: str) -> Gpu:
    """A card that is sold with several memories has the one that its name tells.

    Names round, and tell the whole of a memory that is the processor's too.
    """
    told = _TOLD_MEMORY.search(plain)
    if told is None:
        return gpu
    memory_bytes = float(told.group(1)) * GIB * UNIFIED_SHARES.get(gpu.name, 1.0)
    known = gpu.device.memory_bytes
    if abs(memory_bytes - known) <= SAME_MEMORY * known:
        return gpu
    device = msgspec.structs.replace(gpu.device, memory_bytes=memory_bytes)
    return msgspec.structs.replace(gpu, device=device)


def _found(plain: str, text: str, own: OwnGpus) -> Gpu:
    for spelling in _spellings(plain):
        if spelling in own:
            return own[spelling]
        name = NAMED.get(spelling, ALIASES.get(spelling, spelling))
        if name in KNOWN:
            known = Gpu(device=KNOWN[name], facts=FACTS.get(name, GpuFacts()))
            return _with_memory(known, plain)
    raise unknown_name("GPU", text, [*KNOWN, *own], listed_by="llmops plan gpus")


def _spellings(plain: str) -> list[str]:
    """From the fullest to the barest: what a card is told apart by may be its memory."""
    whole = re.sub(r"[\s_]+", "-", plain).strip("-")
    bare = re.sub(r"[\s_-]+", "-", _WORDS.sub(" ", plain).strip()).strip("-")
    without_rtx = re.sub(r"^(?:rtx|gtx)-?", "", bare)
    found = []
    for each in (whole, bare, without_rtx):
        found.append(each)
        found.append(re.sub(r"(\d)(?:gib|gb|g)$", r"\1", each))
        found.append(re.sub(r"-(\d+)(?:gib|gb|g)-.*$", r"-\1", each))
        found.append(_MEMORY.sub("", each))
        found.append(re.sub(r"-\d+(?:gib|gb|g)-.*$", "", each))
        found.append(re.sub(r"-\d+-tflops?$", "", each))
    return found


def check_own(gpus: OwnGpus) -> None:
    """Raises: UsageError for figures that no card has."""
    for name, gpu in gpus.items():
        device = gpu.device
        limits = {
            "memory_gib": (device.memory_bytes, 1e9, 1e13),
            "bandwidth_gb_per_s": (device.memory_bytes_per_s, 1e9, 1e14),
            "bf16_tflops": (device.bf16_flops, 1e10, 1e17),
        }
        for field, (value, low, high) in limits.items():
            if not low <= value <= high:
                raise UsageError(
                    f"GPU '{name}': {field} is out of range",
                    hint="memory in GiB, bandwidth in GB/s, peaks in dense TFLOP/s",
                )
