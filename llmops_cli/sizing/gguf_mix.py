"""The type that llama.cpp's quantizer gives each tensor, by the rules of its mixtures.

Source: src/llama-quant.cpp of llama.cpp (llama_tensor_get_type, tensor_type_fallback).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from llmops_cli.models.gguf.type_names import TENSOR_TYPES
from llmops_cli.sizing.architecture import Architecture
from llmops_cli.sizing.gguf_rules import Counters, Place, typed
from llmops_cli.sizing.gguf_tensors import GgufPart, LatentRows, gguf_parts
from llmops_cli.sizing.parameters import Tensor

TYPES = {each.name: each for each in TENSOR_TYPES.values()}
MIXES = {
    "Q4_0": "Q4_0",
    "Q4_1": "Q4_1",
    "Q5_0": "Q5_0",
    "Q5_1": "Q5_1",
    "Q8_0": "Q8_0",
    "MXFP4_MOE": "MXFP4",
    "Q2_K_S": "Q2_K",
    "Q2_K": "Q2_K",
    "Q3_K_S": "Q3_K",
    "Q3_K_M": "Q3_K",
    "Q3_K_L": "Q3_K",
    "Q4_K_S": "Q4_K",
    "Q4_K_M": "Q4_K",
    "Q5_K_S": "Q5_K",
    "Q5_K_M": "Q5_K",
    "Q6_K": "Q6_K",
    "TQ1_0": "TQ1_0",
    "TQ2_0": "TQ2_0",
    "IQ1_S": "IQ1_S",
    "IQ1_M": "IQ1_M",
    "IQ2_XXS": "IQ2_XXS",
    "IQ2_XS": "IQ2_XS",
    "IQ2_S": "IQ2_XS",
    "IQ2_M": "IQ2_S",
    "IQ3_XXS": "IQ3_XXS",
    "IQ3_XS": "IQ3_S",
    "IQ3_S": "IQ3_S",
    "IQ3_M": "IQ3_S",
    "IQ4_NL": "IQ4_NL",
    "IQ4_XS": "IQ4_XS",
}
"""A scheme's default type (llama_ftype_get_default_type)."""
NEED_MATRIX = frozenset(
    {"IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ2_M", "IQ3_XXS", "IQ3_XS", "Q2_K_S"}
)
"""Which the quantizer refuses to make without an importance matrix."""
SMALLER_BLOCKS = {
    "IQ1_S": "IQ4_NL",
    "IQ1_M": "IQ4_NL",
    "IQ2_XXS": "IQ4_NL",
    "IQ2_XS": "IQ4_NL",
    "IQ2_S": "IQ4_NL",
    "IQ3_XXS": "IQ4_NL",
    "IQ3_S": "IQ4_NL",
    "IQ4_XS": "IQ4_NL",
    "Q2_K": "Q4_0",
    "Q3_K": "Q4_0",
    "TQ1_0": "Q4_0",
    "TQ2_0": "Q4_0",
    "Q4_K": "Q5_0",
    "Q5_K": "Q5_1",
    "Q6_K": "Q8_0",
}
"""What a row that a type's blocks do not divide gets."""

WIDE_LAYERS = 80
WIDE_TYPES = frozenset({"llama", "qwen2", "olmo", "nemotron-nas"})
"""Of which llama.cpp calls those with 80 layers "70B", and gives their values more bits."""


class GgufShape(msgspec.Struct, frozen=True, kw_only=True):
    """What the rules ask of a model beside its tensors.

    gqa: query heads for each key-value head, of the first layer. is_wide: its type is "70B".
    has_matrix: an importance matrix was given; None: where a scheme needs one.
    """

    layers: int
    gqa: int = 1
    experts: int = 0
    is_wide: bool = False
    is_tied: bool = False
    is_falcon: bool = False
    has_matrix: bool | None = None
    latent: LatentRows | None = None


def gguf_shape(architecture: Architecture) -> GgufShape:
    """What the rules ask of it, but for an importance matrix."""
    blocks = architecture.blocks
    first = blocks[0].attention
    experts = [block.experts.count for block in blocks if block.experts is not None]
    gqa = first.heads // first.kv_heads
    latent = None
    if first.latent is not None:
        gqa = first.heads
        latent = LatentRows(key_dim=first.latent.plain_dim, value_dim=first.value_dim)
    is_deep = len(blocks) == WIDE_LAYERS and architecture.model_type in WIDE_TYPES
    return GgufShape(
        layers=len(blocks),
        gqa=gqa,
        experts=experts[0] if experts else 0,
        is_wide=is_deep and (architecture.model_type != "llama" or gqa > 1),
        is_tied=architecture.is_tied,
        latent=latent,
        is_falcon=architecture.model_type == "falcon",
    )


def gguf_tensor_bytes(
    tensors: Sequence[Tensor],
    scheme: str,
    *,
    shape: GgufShape,
) -> dict[str, int]:
    """Bytes of each of Transformers' tensors in a file of `scheme`, one of MIXES."""
    sizes: dict[str, int] = {}
    parts = [part for tensor in tensors for part in gguf_parts(tensor, latent=shape.latent)]
    types = gguf_types(parts, scheme, shape=shape)
    for part, name in zip(parts, types, strict=True):
        sizes[part.origin] = sizes.get(part.origin, 0) + _bytes_of(part, name)
    return sizes


def gguf_types(
    parts: Sequence[GgufPart],
    scheme: str,
    *,
    shape: GgufShape,
) -> list[str]:
    """The name of each part's type, in the order of `parts`."""
    counters = Counters(values=sum(part.category in {"v", "qkv", "kv_b"} for part in parts))
    default = MIXES[scheme]
    has_matrix = scheme in NEED_MATRIX if shape.has_matrix is None else shape.has_matrix
    order = sorted(range(len(parts)), key=lambda index: parts[index].order)
    found = [""] * len(parts)
    for index in order:
        part = parts[index]
        if part.is_kept:
            found[index] = "F32"
            continue
        place = Place(
            scheme=scheme,
            default=default,
            category=part.category,
            layer=part.layer,
            layers=shape.layers,
            is_stacked=len(part.shape) > 2,
            row=part.shape[-1],
            block=TYPES[default].values,
            gqa=shape.gqa,
            experts=shape.experts,
            is_wide=shape.is_wide,
            is_tied=shape.is_tied,
            is_falcon=shape.is_falcon,
            has_matrix=has_matrix,
        )
        found[index] = fitting(typed(place, counters), part.shape[-1])
    return found


def fitting(name: str, row: int) -> str:
    """The type itself, or the one for rows that its blocks do not divide."""
    if row % TYPES[name].values == 0:
        return name
    smaller = SMALLER_BLOCKS.get(name, name)
    return smaller if row % TYPES[smaller].values == 0 else "F16"


def _bytes_of(part: GgufPart, name: str) -> int:
    kept = TYPES[name]
    return math.prod(part.shape) // kept.values * kept.block_bytes
