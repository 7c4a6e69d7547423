"""What adapters beside a frozen model need (LoRA, arXiv:2106.09685; QLoRA, arXiv:2305.14314)."""

from __future__ import annotations

import msgspec

from llmops_cli.sizing.architecture import Architecture
from llmops_cli.sizing.parameters import ATTENTION, FEED_FORWARD, Tensor, tensors_of

RANK = 16
STATES = 16
"""Weights, gradients and two moments of what is trained, in f32."""
BLOCK = 64
"""Weights that share a scale in 4 bits (bitsandbytes' nf4, quantized once more)."""
SCALE_BITS = 8 + 32 / 256
PLAIN_BYTES = 2


class AdapterMemory(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes of model states; activations come on top, as of any training."""

    frozen: float
    trained: float
    parameters: int

    @property
    def total(self) -> float:
        return self.frozen + self.trained


def adapter_memory(architecture: Architecture, *, bits: int, rank: int = RANK) -> AdapterMemory:
    """Two matrices of `rank` beside each linear layer of the blocks.

    bits: of a frozen linear weight; embeddings, head and norms stay in 16.
    """
    frozen = 0.0
    parameters = 0
    for tensor in tensors_of(architecture):
        if is_adapted(tensor):
            rows, columns = tensor.shape
            parameters += rank * (rows + columns)
            frozen += tensor.elements * bits_of(bits) / 8
        else:
            frozen += tensor.elements * PLAIN_BYTES
    return AdapterMemory(frozen=frozen, trained=float(parameters * STATES), parameters=parameters)


def is_adapted(tensor: Tensor) -> bool:
    return len(tensor.shape) == 2 and tensor.role in {ATTENTION, FEED_FORWARD}


def bits_of(bits: int) -> float:
    """Of one weight with its share of a block's scale."""
    if bits >= 16:
        return float(bits)
    return bits + SCALE_BITS / BLOCK
