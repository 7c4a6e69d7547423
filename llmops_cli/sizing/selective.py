"""Selective checkpointing: what is kept of a block when only its costly operations are."""

from __future__ import annotations

import math
from typing import NamedTuple

from llmops_cli.sizing.activations import F32, Kept, attention_ways, block_input_bytes
from llmops_cli.sizing.architecture import Architecture, Attention, Block, Experts, FeedForward


class Product(NamedTuple):
    """A matrix that a token is multiplied with."""

    inputs: float
    outputs: float


def selective_bytes(
    block: Block,
    architecture: Architecture,
    kept: Kept,
    *,
    every: int = 1,
) -> float:
    """For a token: the block's input, attention's output, and what matrices make of it.

    These are dear to compute again, everything between them is cheap (arXiv:2205.05198, section 4).
    every: 2 keeps every second product, as torchtitan does.
    """
    products = products_of(block, architecture.hidden_size)[::every]
    outputs = math.fsum(product.outputs for product in products)
    attention = block.attention
    split = outputs * kept.numbers.compute / kept.tensor
    heads = attention.output_size * kept.numbers.compute + attention.heads * F32
    split += heads / attention_ways(attention, kept)
    return block_input_bytes(architecture, kept) + split


def recomputed_share(block: Block, hidden_size: int, checkpointing: str) -> float:
    """Of a block's multiplications, how many are done again in the backward pass."""
    if checkpointing == "full":
        return 1.0
    if checkpointing != "alternate":
        return 0.0
    costs = [each.inputs * each.outputs for each in products_of(block, hidden_size)]
    return math.fsum(costs[1::2]) / math.fsum(costs)


def products_of(block: Block, hidden_size: int) -> list[Product]:
    """A block's matrices in the order in which they are multiplied."""
    attention = block.attention
    products = _attention_products(attention, hidden_size)
    products.append(Product(attention.output_size, hidden_size))
    if block.feed_forward is not None:
        products += _network_products(block.feed_forward, hidden_size)
    if block.experts is not None:
        products += _expert_products(block.experts, hidden_size)
    return products


def _attention_products(attention: Attention, size: int) -> list[Product]:
    widths = [attention.query_size, attention.key_size, attention.value_size]
    if attention.is_fused:
        return [Product(size, sum(widths))]
    return [Product(size, width) for width in widths]


def _network_products(network: FeedForward, size: int) -> list[Product]:
    down = Product(network.width, size)
    if not network.is_gated:
        return [Product(size, network.width), down]
    if network.is_fused:
        return [Product(size, 2 * network.width), down]
    return [Product(size, network.width), Product(size, network.width), down]


def _expert_products(experts: Experts, size: int) -> list[Product]:
    width = experts.active * experts.width
    return [Product(size, 2 * width), Product(width, size)]
