"""Bytes that go through a device's memory beside matrix products: norms, activations, the loss.

Counted per token from Transformers' modelling code in 16-bit formats: what each small operation
reads and writes. A compiled model does a chain of them in one pass.
"""

from __future__ import annotations

from llmops_cli.sizing.architecture import Architecture, Block

NORM_FORWARD = 36
"""An RMSNorm: to f32, square, mean, scale, back to 16 bits, times its weight."""
NORM_BACKWARD = 60
ROTARY_FORWARD = 16
ROTARY_BACKWARD = 24
GATE_FORWARD = 10
GATE_BACKWARD = 18
RESIDUAL = 12
LOGIT = 40
"""f32 logits, their log-softmax, and the way back, for each word."""
COMPILED_SHARE = 0.35
"""Of the bytes above, what is left when each chain of operations reads and writes once."""
UPDATE = 50
"""AdamW over all tensors at once: weights, gradients, moments, roots, and the clipping before."""


def forward_traffic(architecture: Architecture) -> float:
    """Of all blocks, for one token."""
    return sum(
        _block(
            block,
            architecture.hidden_size,
            norm=NORM_FORWARD,
            rotary=ROTARY_FORWARD,
            gate=GATE_FORWARD,
        )
        for block in architecture.blocks
    )


def backward_traffic(architecture: Architecture) -> float:
    return sum(
        _block(
            block,
            architecture.hidden_size,
            norm=NORM_BACKWARD,
            rotary=ROTARY_BACKWARD,
            gate=GATE_BACKWARD,
        )
        for block in architecture.blocks
    )


def _block(block: Block, size: int, *, norm: int, rotary: int, gate: int) -> float:
    attention = block.attention
    turned = attention.query_size + attention.key_size
    total = float(norm * size * len(block.norms) + rotary * turned + RESIDUAL * size)
    if attention.norm_per_head or attention.norm_per_row:
        total += norm * turned
    if block.feed_forward is not None:
        total += gate * block.feed_forward.width
    if block.experts is not None:
        width = block.experts.active * block.experts.width + block.experts.shared_width
        total += gate * width + 2 * RESIDUAL * block.experts.active * size
    return total


def loss_traffic(architecture: Architecture) -> float:
    return float(LOGIT * architecture.vocab_size)
