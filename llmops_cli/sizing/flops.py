"""Floating-point operations of a training step: matrices, attention, and what is computed again."""

from __future__ import annotations

import math

import msgspec

from llmops_cli.sizing.architecture import Architecture, Attention
from llmops_cli.sizing.parameters import EMBEDDING, HEAD, tensors_of
from llmops_cli.sizing.selective import recomputed_share

FORWARD_AND_BACKWARD = 3
"""A backward pass multiplies twice: by weights and by inputs."""


class TokenFlops(msgspec.Struct, frozen=True, kw_only=True):
    """Of one token of a sequence, forward.

    attention counts all T x T products, as model-FLOPs utilisation does; causal: those that lie
    before the token, which is what a flash kernel computes.
    """

    blocks: float
    head: float
    attention: float
    causal: float

    @property
    def model(self) -> float:
        """Forward and backward without recomputation: what MFU is a share of (arXiv:2204.02311)."""
        return FORWARD_AND_BACKWARD * (self.blocks + self.head + self.attention)


def token_flops(architecture: Architecture, sequence_length: int) -> TokenFlops:
    """Two for each weight that a token meets, and attention's two products."""
    blocks = 0.0
    head = 2.0 * architecture.hidden_size * architecture.vocab_size
    for tensor in tensors_of(architecture):
        if tensor.is_matrix and tensor.role not in {EMBEDDING, HEAD}:
            blocks += 2 * tensor.elements * tensor.active_share
    whole = 0.0
    causal = 0.0
    for block in architecture.blocks:
        each = 2.0 * block.attention.heads * _product_sizes(block.attention)
        whole += each * sequence_length
        causal += each * mean_reach(block.attention, sequence_length)
    return TokenFlops(blocks=blocks, head=head, attention=whole, causal=causal)


def _product_sizes(attention: Attention) -> int:
    return attention.head_dim + attention.value_dim


def mean_reach(attention: Attention, sequence_length: int) -> float:
    """How many tokens one looks at on average: half of the sequence, or less by a window."""
    window = attention.window
    if window is None or window >= sequence_length:
        return (sequence_length + 1) / 2
    before = window * (window + 1) / 2
    return (before + (sequence_length - window) * window) / sequence_length


def training_flops(
    architecture: Architecture,
    *,
    sequence_length: int,
    tokens: float,
    checkpointing: str = "none",
) -> float:
    """Of so many tokens, with recomputation, attention counted whole.

    Source: arXiv:2104.04473, equation 3, which it equals with full checkpointing.
    """
    each = token_flops(architecture, sequence_length)
    again = blocks_again(architecture, checkpointing) * each.blocks
    if checkpointing == "full":
        again += each.attention
    return tokens * (each.model + again)


def blocks_again(architecture: Architecture, checkpointing: str) -> float:
    """The mean share of a block's products that the backward pass does again."""
    size = architecture.hidden_size
    shares = [recomputed_share(block, size, checkpointing) for block in architecture.blocks]
    return math.fsum(shares) / len(shares)


def training_days(flops: float, *, devices: int, peak_flops: float, utilisation: float) -> float:
    """`utilisation`: the share of the peak that is reached, recomputation counted (HFU)."""
    seconds = flops / (devices * peak_flops * utilisation)
    return seconds / 86_400
