"""Transformers' tensors as llama.cpp's converter writes them: which category of rule each meets."""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from llmops_cli.sizing.parameters import EMBEDDING, EXPERT, HEAD, Tensor

Category = Literal[
    "output", "embedding", "qkv", "kv_b", "v", "k", "q", "o", "up", "gate", "down", "other"
]
NAMES: dict[str, Category] = {
    "q_proj": "q",
    "k_proj": "k",
    "v_proj": "v",
    "o_proj": "o",
    "qkv_proj": "qkv",
    "c_attn": "qkv",
    "dense": "o",
    "up_proj": "up",
    "gate_up_proj": "up",
    "c_fc": "up",
    "gate_proj": "gate",
    "down_proj": "down",
}
KEPT = re.compile(
    r"(norm\w*|mlp\.gate|router|router\.layer|shared_expert_gate|conv1d|conv\.conv"
    r"|wpe|altup\w*|laurel\w*|per_layer_model_projection)\.weight$"
)
"""Matrices that the quantizer leaves alone, or that the converter writes as f32."""
WORDS = re.compile(r"(embed_tokens|wte)\.weight$")
"""The one table that may be the head; Gemma 3n has another for each layer."""
NOT_WEIGHTS = re.compile(r"(A_log|dt_bias|\.bias|_bias|sinks|\.D)$")


class LatentRows(msgspec.Struct, frozen=True, kw_only=True):
    """Of MLA: a head's key without its rotary part, and its value."""

    key_dim: int
    value_dim: int


class GgufPart(msgspec.Struct, frozen=True, kw_only=True):
    """One tensor of a file. `origin`: Transformers' name of what it is part of."""

    origin: str
    shape: tuple[int, ...]
    category: Category
    layer: int
    is_kept: bool

    @property
    def order(self) -> tuple[int, str]:
        """As the quantizer goes through them: by layer, then by name."""
        shared = "shexp" if "shared" in self.origin else "exps"
        return self.layer, f"{self.category}_{shared}"


def gguf_parts(tensor: Tensor, *, latent: LatentRows | None) -> list[GgufPart]:
    """Usually one; MLA's keys and values are two stacks, an expert's gate and up are apart."""
    category = category_of(tensor)
    if tensor.role == EXPERT and "gate_up_proj" in tensor.name and len(tensor.shape) == 3:
        return [
            _part(tensor, _half(tensor.shape), category="up"),
            _part(tensor, _half(tensor.shape), category="gate"),
        ]
    if latent is not None and "kv_b_proj" in tensor.name:
        rows, rank = tensor.shape
        heads = rows // (latent.key_dim + latent.value_dim)
        return [
            _part(tensor, (heads, rank, latent.key_dim), category="other"),
            _part(tensor, (heads, latent.value_dim, rank), category="other"),
        ]
    return [_part(tensor, tensor.shape, category=category)]


def category_of(tensor: Tensor) -> Category:
    if tensor.role == HEAD:
        return "output"
    if tensor.role == EMBEDDING:
        return "embedding" if WORDS.search(tensor.name) else "other"
    plain = tensor.name.removesuffix(".weight").rpartition(".")[2]
    if plain == "c_proj":
        return "down" if ".mlp." in tensor.name else "o"
    return NAMES.get(plain, "other")


def _half(shape: tuple[int, ...]) -> tuple[int, ...]:
    count, first, second = shape
    return count, first // 2, second


def _part(
    tensor: Tensor,
    shape: tuple[int, ...],
    *,
    category: Category,
) -> GgufPart:
    layer = -1 if tensor.layer is None else tensor.layer
    is_kept = not tensor.is_matrix or KEPT.search(tensor.name) or NOT_WEIGHTS.search(tensor.name)
    return GgufPart(
        origin=tensor.name,
        shape=shape,
        category=category,
        layer=layer,
        is_kept=bool(is_kept),
    )
