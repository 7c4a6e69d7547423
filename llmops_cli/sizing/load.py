"""What a model asks of a device while it is served: bytes read, operations, cache."""

from __future__ import annotations

import math

import msgspec

from llmops_cli.sizing.cache_rules import CacheRules

TWO_KINDS = 2
ALIKE_KINDS = 1.25
"""Kinds of layers whose numbers differ by less are one group each."""


class CachePart(msgspec.Struct, frozen=True, kw_only=True):
    """Layers whose cache grows alike. `window`: cells that it holds at most; None: all tokens.

    heads: those that cards can have one each of; a latent vector is one. None: not told.
    """

    bytes_per_token: float
    window: int | None = None
    heads: int | None = None

    def size_bytes(self, tokens: float) -> float:
        held = tokens if self.window is None else min(tokens, self.window)
        return self.bytes_per_token * held

    def allocated_bytes(self, tokens: int, rules: CacheRules) -> float:
        """As an engine allocates it, of `rules.sequences` sequences."""
        return self.bytes_per_token * rules.cells(tokens, self.window)


class ServingLoad(msgspec.Struct, frozen=True, kw_only=True):
    """A model in one format.

    dense_bytes, expert_bytes: of weights that each step reads, and of all routed experts;
    rest_bytes: what only lies in memory, such as an embedding table that is looked up. Weights are
    counted the same way: those of `expert_weights` include experts that a token does not meet.
    attention_flops: of one token and one token of its context, over all layers.

    Of the same bytes, by where they can lie: whole_bytes, those that each card of a tensor group
    has; key_value_bytes, matrices that make keys and values; table_bytes, head_bytes, the first and
    the last matrix (none of its own where it is tied). heads: of queries. positions: those that the
    model was made for; None: not told. spread: by what share sizes may be off that are a guess.
    """

    name: str
    scheme: str
    parameters: float
    layers: int
    hidden_size: int
    dense_bytes: float
    dense_weights: float
    rest_bytes: float
    expert_bytes: float = 0.0
    expert_weights: float = 0.0
    experts: int = 1
    active_experts: int = 1
    cache: tuple[CachePart, ...] = ()
    state_bytes: float = 0.0
    attention_flops: float = 0.0
    whole_bytes: float = 0.0
    key_value_bytes: float = 0.0
    table_bytes: float = 0.0
    head_bytes: float = 0.0
    is_tied: bool = False
    heads: int | None = None
    kv_heads: int | None = None
    positions: int | None = None
    expert_layers: int = 0
    spread: float = 0.0
    notes: tuple[str, ...] = ()

    @property
    def weights_bytes(self) -> float:
        return self.dense_bytes + self.expert_bytes + self.rest_bytes

    @property
    def active_weights(self) -> float:
        """Those that one token is multiplied with."""
        return self.dense_weights + self.expert_weights * self.active_experts / self.experts

    def touched_share(self, batch: float) -> float:
        """Of the experts, those that a batch meets if each token draws its own at random."""
        one = self.active_experts / self.experts
        return float(1 - (1 - one) ** batch)

    def read_bytes(self, batch: float) -> float:
        """Weights that one step of so many tokens reads."""
        return self.dense_bytes + self.expert_bytes * self.touched_share(batch)

    def read_weights(self, batch: float) -> float:
        return self.dense_weights + self.expert_weights * self.touched_share(batch)

    def cache_bytes(self, tokens: float) -> float:
        """Of one sequence."""
        return self.state_bytes + sum(part.size_bytes(tokens) for part in self.cache)

    def allocated_parts(self, rules: CacheRules) -> tuple[CachePart, ...]:
        """Those that an engine has; vLLM makes groups of layers as large as one another."""
        return _grouped(self.cache) if rules.allocator == "vllm" else self.cache

    def allocated_bytes(self, tokens: int, rules: CacheRules) -> float:
        """Of `rules.sequences` sequences, as an engine allocates it."""
        parts = self.allocated_parts(rules)
        states = self.state_bytes * rules.sequences
        return states + sum(part.allocated_bytes(tokens, rules) for part in parts)

    @property
    def cache_bytes_per_token(self) -> float:
        """While no window is full."""
        return sum(part.bytes_per_token for part in self.cache)


def _grouped(parts: tuple[CachePart, ...]) -> tuple[CachePart, ...]:
    """Layers with a window and those without, in whole groups as large as the smaller of both.

    Source: _get_kv_cache_groups_uniform_page_size of vLLM's kv_cache_utils.py.
    """
    if len(parts) != TWO_KINDS:
        return parts
    sizes = [part.bytes_per_token for part in parts]
    least = min(sizes)
    group = max(sizes) if max(sizes) < least * ALIKE_KINDS else least
    return tuple(
        msgspec.structs.replace(part, bytes_per_token=group * math.ceil(size / group))
        for part, size in zip(parts, sizes, strict=True)
    )
