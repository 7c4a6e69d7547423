"""What of NVIDIA's cards can be used, by compute capability: attention kernels and formats.

Each row has its source. Blackwell's desktop cards are 12.x: 10.x without its tensor memory, for
which kernels of 10.x are not built.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import msgspec

HOPPER = 9.0
BLACKWELL = 10.0
DESKTOP_BLACKWELL = 12.0
VLLM_HARDWARE = "docs.vllm.ai/en/v0.9.2/features/quantization/supported_hardware.html"
CUDA_GUIDE = "CUDA C++ programming guide, compute capabilities: features by capability"
FLASH = "github.com/Dao-AILab/flash-attention, README.md"


class Feature(msgspec.Struct, frozen=True, kw_only=True):
    """Cards from `least` to below `below` have it. `without`: what happens on others."""

    name: str
    least: float
    without: str
    source: str
    below: float = math.inf

    def is_on(self, capability: float) -> bool:
        return self.least <= capability < self.below


FEATURES = (
    Feature(
        name="bf16 products",
        least=8.0,
        without="bf16 is computed in f32: take float16",
        source=CUDA_GUIDE,
    ),
    Feature(
        name="INT8 products (W8A8)",
        least=7.5,
        without="INT8 saves memory, not time",
        source=VLLM_HARDWARE,
    ),
    Feature(
        name="AWQ and GPTQ kernels (Marlin)",
        least=8.0,
        without="4-bit weights use slower kernels",
        source=VLLM_HARDWARE,
    ),
    Feature(
        name="FP8 weights",
        least=7.5,
        without="vLLM does not load FP8",
        source="docs.vllm.ai, FP8 W8A8: weights alone by Marlin from 7.5",
    ),
    Feature(
        name="FP8 products (W8A8)",
        least=8.9,
        without="FP8 weights are unpacked to 16 bits: they save memory, and time of few streams",
        source=VLLM_HARDWARE,
    ),
    Feature(
        name="FP4 products (NVFP4)",
        least=BLACKWELL,
        without="FP4 weights are unpacked to 16 bits",
        source="huggingface.co/docs/transformers/v5.17.0/quantization/nvfp4: 10.0 or newer",
    ),
    Feature(
        name="FP4 products (MXFP4)",
        least=BLACKWELL,
        below=DESKTOP_BLACKWELL,
        without="FP4 weights are unpacked to 16 bits",
        source="github.com/vllm-project/vllm, issue 31085, pull request 37751: 12.x takes Marlin",
    ),
    Feature(
        name="FlashAttention 2",
        least=8.0,
        without="vLLM takes another attention, slower with long prompts",
        source=FLASH,
    ),
    Feature(
        name="FlashAttention 3",
        least=HOPPER,
        below=BLACKWELL,
        without="the one before is used, where there is one",
        source=f"{FLASH}: H100 and H800; vLLM's build refuses 10.x and more (issue 1853 there)",
    ),
    Feature(
        name="FlashAttention 4",
        least=HOPPER,
        below=DESKTOP_BLACKWELL,
        without="the one before is used, where there is one",
        source="pypi.org/project/flash-attn-4; not 12.x: SecondNatureComputing/flash-attn-4-sm120",
    ),
)


def features_on(capability: float) -> tuple[Feature, ...]:
    return tuple(each for each in FEATURES if each.is_on(capability))


def features_not_on(capability: float) -> tuple[Feature, ...]:
    return tuple(each for each in FEATURES if not each.is_on(capability))


FORMAT_FEATURES = {
    "FP8": "FP8 products (W8A8)",
    "FP8-BLOCK": "FP8 products (W8A8)",
    "W8A8": "INT8 products (W8A8)",
    "INT8": "INT8 products (W8A8)",
    "NVFP4": "FP4 products (NVFP4)",
    "MXFP4": "FP4 products (MXFP4)",
    "MXFP4-ALL": "FP4 products (MXFP4)",
    "AWQ-INT4": "AWQ and GPTQ kernels (Marlin)",
    "GPTQ-INT4": "AWQ and GPTQ kernels (Marlin)",
    "BF16": "bf16 products",
}
"""What a format is fast by."""


def lacking(capability: float, *, scheme: str, engine: str) -> Iterator[Feature]:
    """Those that would matter here and are not there. llama.cpp has kernels of its own."""
    if engine not in {"vllm", "sglang"}:
        return
    wanted = {"FlashAttention 2", FORMAT_FEATURES.get(scheme.upper(), "")}
    if scheme.upper().startswith("FP8"):
        wanted.add("FP8 weights")
    for feature in features_not_on(capability):
        if feature.name in wanted:
            yield feature
