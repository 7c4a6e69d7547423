"""What a model's config says of its shape: the one description that all of sizing starts from.

Nothing here knows a family's name or a config's key: families.py reads those.
"""

from __future__ import annotations

import msgspec


class Latent(msgspec.Struct, frozen=True, kw_only=True):
    """Keys and values from one small vector (MLA, arXiv:2405.04434, section 2.1).

    index_heads, index_dim: of what chooses the tokens to look at (DeepSeek-V3.2); 0: all of them.
    """

    query_rank: int | None
    kv_rank: int
    plain_dim: int
    rotary_dim: int
    index_heads: int = 0
    index_dim: int = 0


class Attention(msgspec.Struct, frozen=True, kw_only=True):
    """One block's attention. `window`: how far back it looks; None: to the beginning.

    softmax_format: of an eager softmax, `f32` in most families, else that of what it is given.
    """

    heads: int
    kv_heads: int
    head_dim: int
    value_dim: int
    query_bias: bool = False
    output_bias: bool = False
    is_fused: bool = False
    is_rotary: bool = True
    softmax_format: str = "f32"
    norm_per_head: bool = False
    norm_per_row: bool = False
    softcap: bool = False
    sinks: bool = False
    dropout: bool = False
    window: int | None = None
    latent: Latent | None = None

    @property
    def query_size(self) -> int:
        return self.heads * self.head_dim

    @property
    def key_size(self) -> int:
        return self.kv_heads * self.head_dim

    @property
    def value_size(self) -> int:
        return self.kv_heads * self.value_dim

    @property
    def output_size(self) -> int:
        return self.heads * self.value_dim


class FeedForward(msgspec.Struct, frozen=True, kw_only=True):
    """`is_gated`: two matrices up and one down (SwiGLU, GeGLU); else one up and one down."""

    width: int
    is_gated: bool = True
    is_fused: bool = False
    has_bias: bool = False
    dropout: bool = False


class Experts(msgspec.Struct, frozen=True, kw_only=True):
    """`count` gated networks of which each token has `active`; `shared` is one that all have."""

    count: int
    active: int
    width: int
    shared_width: int = 0
    has_shared_gate: bool = False
    has_bias: bool = False
    router_bias: bool = False


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """One layer. `norms`: names of those over the hidden size, in the order of the model.

    activation_values: learned numbers of the activation function.
    """

    attention: Attention
    norms: tuple[str, ...]
    feed_forward: FeedForward | None = None
    experts: Experts | None = None
    activation_values: int = 0


class Architecture(msgspec.Struct, frozen=True, kw_only=True):
    """A decoder. `norm`: how Transformers computes it, which decides what it keeps.

    A `plain` norm has no weights. norm_bias: each has a bias. learned_positions: rows of a table.
    is_guess: its family is in no table.
    """

    model_type: str
    hidden_size: int
    vocab_size: int
    blocks: tuple[Block, ...]
    is_tied: bool
    norm: str
    norm_bias: bool = False
    head_bias: bool = False
    embedding_norm: bool = False
    max_positions: int | None = None
    learned_positions: int = 0
    logits_softcap: bool = False
    is_guess: bool = False
    notes: tuple[str, ...] = ()
