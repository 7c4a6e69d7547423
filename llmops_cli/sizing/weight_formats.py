"""Bytes of tensors in the formats that models are served in, scales and zero points included."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Protocol

import msgspec

from llmops_cli.core.errors import unknown_name
from llmops_cli.sizing.gguf_mix import MIXES, GgufShape, gguf_tensor_bytes
from llmops_cli.sizing.parameters import ATTENTION, EXPERT, FEED_FORWARD, STATE, Tensor

__all__ = ["GgufShape", "known_formats", "tensor_bytes"]

FLOAT_BITS = {"F32": 32, "F16": 16, "BF16": 16}
KEPT_BITS = 16
"""Of what a quantized folder leaves as it was: embeddings, head, norms, biases, routers."""
QUANTIZED = frozenset({ATTENTION, FEED_FORWARD, EXPERT, STATE})
KEPT_NAMES = re.compile(r"(mlp\.gate|router|shared_expert_gate|conv1d)\.weight$")


class FolderFormat(msgspec.Struct, frozen=True, kw_only=True):
    """Of a matrix: `bits` for each weight; for each `group` of inputs a scale and a zero point.

    group: None for one scale for each output. block: a scale for each square of that side.
    input_bits: for each input (GPTQ's order of groups). scale_group: scales that share an f32 of
    their own. only_experts: other matrices are kept.
    """

    bits: int
    scale_bits: int
    group: int | None = None
    block: int | None = None
    zero_bits: int = 0
    input_bits: int = 0
    tensor_bits: int = 0
    scale_group: int | None = None
    only_experts: bool = False


class OwnRules(Protocol):
    """What a model's config says of its format beside the name.

    group: inputs that share a scale, below 0 for all of them; None: as is usual.
    """

    @property
    def group(self) -> int | None: ...

    def keeps(self, tensor_name: str) -> bool:
        """Whether that matrix stays in 16 bits."""
        ...


F32_BITS = 32
FOLDERS = {
    "FP8": FolderFormat(bits=8, scale_bits=32),
    "FP8-BLOCK": FolderFormat(bits=8, scale_bits=32, block=128),
    "W8A8": FolderFormat(bits=8, scale_bits=16),
    "INT8": FolderFormat(bits=8, scale_bits=32),
    "GPTQ-INT8": FolderFormat(bits=8, scale_bits=16, group=128, zero_bits=8, input_bits=32),
    "GPTQ-INT4": FolderFormat(bits=4, scale_bits=16, group=128, zero_bits=4, input_bits=32),
    "AWQ-INT4": FolderFormat(bits=4, scale_bits=16, group=128, zero_bits=4),
    "W4A16": FolderFormat(bits=4, scale_bits=16, group=128),
    "MXFP4": FolderFormat(bits=4, scale_bits=8, group=32, only_experts=True),
    "MXFP4-ALL": FolderFormat(bits=4, scale_bits=8, group=32),
    "NVFP4": FolderFormat(bits=4, scale_bits=8, group=16, tensor_bits=64),
    "NF4-SINGLE": FolderFormat(bits=4, scale_bits=F32_BITS, group=64),
    "NF4": FolderFormat(bits=4, scale_bits=8, group=64, tensor_bits=32, scale_group=256),
}
"""NF4 is with double quantization. Sources: AutoGPTQ's and AutoAWQ's packing (qweight, qzeros,
scales, g_idx); compressed-tensors; bitsandbytes (absmax of 64 weights, in 8 bits with double
quantization); OCP MX 1.0; DeepSeek-V3's blocks of 128 x 128."""
ALIASES = {
    "FP32": "F32",
    "FLOAT32": "F32",
    "FP16": "F16",
    "FLOAT16": "F16",
    "BFLOAT16": "BF16",
    "AWQ": "AWQ-INT4",
    "GPTQ": "GPTQ-INT4",
    "INT4": "W4A16",
    "W8A16": "W8A8",
    "FP8_E4M3": "FP8",
}


def known_formats() -> tuple[str, ...]:
    """Names of all formats: floats, folders', GGUF's."""
    return (*FLOAT_BITS, *FOLDERS, *MIXES)


def format_named(text: str) -> str:
    """The table's spelling. Raises: UsageError with the nearest for one that is in none."""
    plain = text.strip().upper()
    plain = ALIASES.get(plain, plain)
    if plain not in known_formats():
        raise unknown_name("format", text, known_formats())
    return plain


def tensor_bytes(
    tensors: Sequence[Tensor],
    weight_format: str,
    *,
    shape: GgufShape,
    own: OwnRules | None = None,
) -> dict[str, int]:
    """By tensor. `own`: what a config says of its format. Raises: UsageError for one not known."""
    plain = format_named(weight_format)
    if plain in FLOAT_BITS:
        return {each.name: each.elements * FLOAT_BITS[plain] // 8 for each in tensors}
    if plain in FOLDERS:
        kept = _fitted(FOLDERS[plain], tensors, own)
        return {each.name: _own_bytes(each, kept, own) for each in tensors}
    return gguf_tensor_bytes(tensors, plain, shape=shape)


def _fitted(
    folder: FolderFormat,
    tensors: Sequence[Tensor],
    own: OwnRules | None,
) -> FolderFormat:
    """With the config's own groups; a format of experts is one of all matrices without them."""
    if folder.only_experts and not any(each.role == EXPERT for each in tensors):
        folder = msgspec.structs.replace(folder, only_experts=False)
    if own is None or own.group is None:
        return folder
    return msgspec.structs.replace(folder, group=own.group if own.group > 0 else None)


def _own_bytes(tensor: Tensor, folder: FolderFormat, own: OwnRules | None) -> int:
    if own is not None and own.keeps(tensor.name):
        return tensor.elements * KEPT_BITS // 8
    return folder_tensor_bytes(tensor, folder)


def folder_tensor_bytes(tensor: Tensor, folder: FolderFormat) -> int:
    """Of one tensor in a quantized folder."""
    if not is_quantized(tensor, folder):
        return tensor.elements * KEPT_BITS // 8
    *_, outputs, inputs = tensor.shape
    count = math.prod(tensor.shape[:-2])
    scales = _scale_count(outputs, inputs, folder)
    bits = outputs * inputs * folder.bits
    bits += scales * (folder.scale_bits + folder.zero_bits)
    bits += inputs * folder.input_bits + folder.tensor_bits
    if folder.scale_group is not None:
        bits += -(-scales // folder.scale_group) * F32_BITS
    return -(-bits * count // 8)


def is_quantized(tensor: Tensor, folder: FolderFormat) -> bool:
    if not tensor.is_matrix or tensor.role not in QUANTIZED:
        return False
    if folder.only_experts and tensor.role != EXPERT:
        return False
    if tensor.role == EXPERT and len(tensor.shape) < 3:
        return False
    return KEPT_NAMES.search(tensor.name) is None


def _scale_count(outputs: int, inputs: int, folder: FolderFormat) -> int:
    if folder.block is not None:
        return -(-outputs // folder.block) * -(-inputs // folder.block)
    if folder.group is None:
        return outputs
    return outputs * -(-inputs // folder.group)
