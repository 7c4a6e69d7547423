"""Every parameter of an architecture: name, shape, and along which dimension it can be split.

Names and shapes are those of Transformers 5 (experts of a layer are one tensor of three
dimensions), so they can be compared with a model on the meta device, one by one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import msgspec

from llmops_cli.sizing.architecture import (
    Architecture,
    Attention,
    Block,
    Experts,
    FeedForward,
    Latent,
)

ATTENTION = "attention"
FEED_FORWARD = "feed_forward"
EXPERT = "expert"
NORM = "norm"
EMBEDDING = "embedding"
HEAD = "head"
STATE = "state"
PLAIN_NORM = "plain"
"""A norm without weights."""


class Tensor(msgspec.Struct, frozen=True, kw_only=True):
    """One parameter. `layer`: None outside the blocks. `split_dim`: by tensor parallelism.

    `active_share`: how much of it one token is multiplied with (of experts: those it is sent to).
    """

    name: str
    shape: tuple[int, ...]
    role: str
    layer: int | None = None
    split_dim: int | None = None
    active_share: float = 1.0

    @property
    def elements(self) -> int:
        return math.prod(self.shape)

    @property
    def is_matrix(self) -> bool:
        return len(self.shape) >= 2

    def split_shape(self, ways: int) -> tuple[int, ...]:
        """The largest piece when `ways` devices hold one each."""
        if self.split_dim is None or ways == 1:
            return self.shape
        shape = list(self.shape)
        shape[self.split_dim] = -(-shape[self.split_dim] // ways)
        return tuple(shape)

    def elements_split(self, ways: int) -> int:
        return math.prod(self.split_shape(ways))


def tensors_of(architecture: Architecture) -> tuple[Tensor, ...]:
    """All of them; a head that is tied to the embeddings is none of its own."""
    if architecture.model_type == "gpt2":
        return tuple(_gpt2_tensors(architecture))
    return tuple(_decoder_tensors(architecture))


def parameter_count(architecture: Architecture) -> int:
    return sum(tensor.elements for tensor in tensors_of(architecture))


def active_count(architecture: Architecture) -> int:
    """Parameters that one token meets: those of its own experts only."""
    return round(sum(each.elements * each.active_share for each in tensors_of(architecture)))


def _decoder_tensors(architecture: Architecture) -> Iterator[Tensor]:
    size = architecture.hidden_size
    blocks = (_block_tensors(block, architecture) for block in architecture.blocks)
    ends = _ends(architecture)
    words = (architecture.vocab_size, size)
    yield from stacked(blocks, words=words, is_tied=architecture.is_tied, ends=ends)
    if architecture.learned_positions:
        places = (architecture.learned_positions, size)
        yield Tensor(name="model.embed_positions.weight", shape=places, role=EMBEDDING)
    if architecture.embedding_norm:
        yield from _norm("model.embed_layernorm", architecture)


def _ends(architecture: Architecture) -> tuple[Tensor, ...]:
    """What is behind the last layer beside the head's matrix."""
    found = [] if architecture.norm == PLAIN_NORM else list(_norm("model.norm", architecture))
    if architecture.head_bias:
        words = (architecture.vocab_size,)
        found.append(Tensor(name="lm_head.bias", shape=words, role=HEAD, split_dim=0))
    return tuple(found)


def _norm(name: str, architecture: Architecture) -> Iterator[Tensor]:
    size = architecture.hidden_size
    if architecture.norm_bias:
        yield from _layer_norm(name, size)
    else:
        yield norm_tensor(name, size)


def stacked(
    blocks: Iterable[Iterable[Tensor]],
    *,
    words: tuple[int, int],
    is_tied: bool,
    ends: tuple[Tensor, ...] | None = None,
) -> Iterator[Tensor]:
    """Layers between a table of words and a head, which is none of its own where they are tied.

    `words`: the table's shape, vocabulary by hidden size. `ends`: None for one norm.
    """
    yield Tensor(name="model.embed_tokens.weight", shape=words, role=EMBEDDING, split_dim=0)
    for number, block in enumerate(blocks):
        for tensor in block:
            yield msgspec.structs.replace(
                tensor, name=f"model.layers.{number}.{tensor.name}", layer=number
            )
    yield from (norm_tensor("model.norm", words[1]),) if ends is None else ends
    if not is_tied:
        yield Tensor(name="lm_head.weight", shape=words, role=HEAD, split_dim=0)


def _block_tensors(block: Block, architecture: Architecture) -> Iterator[Tensor]:
    size = architecture.hidden_size
    attention = block.attention
    if attention.latent is None:
        yield from attention_tensors(attention, size)
    else:
        yield from _latent_tensors(attention, size)
    if block.feed_forward is not None:
        yield from network_tensors(block.feed_forward, size, prefix="mlp")
    if block.experts is not None:
        yield from expert_tensors(block.experts, size)
    for name in block.norms:
        yield from _norm(name, architecture)
    if block.activation_values:
        shape = (block.activation_values,)
        yield Tensor(name="mlp.act_fn.alpha", shape=shape, role=FEED_FORWARD)


def norm_tensor(name: str, size: int) -> Tensor:
    return Tensor(name=f"{name}.weight", shape=(size,), role=NORM)


def linear_tensors(
    name: str,
    *,
    inputs: int,
    outputs: int,
    role: str,
    split: str | None,
    bias: bool = False,
) -> Iterator[Tensor]:
    """`split`: `column` gives each device some of the outputs, `row` some of the inputs."""
    weight_dim = {"column": 0, "row": 1, None: None}[split]
    shape = (outputs, inputs)
    yield Tensor(name=f"{name}.weight", shape=shape, role=role, split_dim=weight_dim)
    if bias:
        bias_dim = 0 if split == "column" else None
        yield Tensor(name=f"{name}.bias", shape=(outputs,), role=role, split_dim=bias_dim)


def attention_tensors(attention: Attention, size: int) -> Iterator[Tensor]:
    outputs = {
        "q_proj": attention.query_size,
        "k_proj": attention.key_size,
        "v_proj": attention.value_size,
    }
    if attention.is_fused:
        outputs = {"qkv_proj": sum(outputs.values())}
    for name, width in outputs.items():
        yield from linear_tensors(
            f"self_attn.{name}",
            inputs=size,
            outputs=width,
            role=ATTENTION,
            split="column",
            bias=attention.query_bias,
        )
    yield from _output(attention, size)
    if attention.norm_per_head:
        yield norm_tensor("self_attn.q_norm", attention.head_dim)
        yield norm_tensor("self_attn.k_norm", attention.head_dim)
    if attention.norm_per_row:
        yield norm_tensor("self_attn.q_norm", attention.query_size)
        yield norm_tensor("self_attn.k_norm", attention.key_size)
    if attention.sinks:
        yield Tensor(name="self_attn.sinks", shape=(attention.heads,), role=ATTENTION, split_dim=0)


def _output(attention: Attention, size: int) -> Iterator[Tensor]:
    yield from linear_tensors(
        "self_attn.o_proj",
        inputs=attention.output_size,
        outputs=size,
        role=ATTENTION,
        split="row",
        bias=attention.output_bias,
    )


def _latent_tensors(attention: Attention, size: int) -> Iterator[Tensor]:
    """The matrices of MLA; by Transformers' plan none of them is split."""
    latent = attention.latent
    assert latent is not None
    has_bias = attention.query_bias
    sizes = {
        "kv_a_proj_with_mqa": (size, latent.kv_rank + latent.rotary_dim, has_bias),
        "kv_b_proj": (latent.kv_rank, _expanded(attention), False),
        "o_proj": (attention.output_size, size, has_bias),
    }
    if latent.query_rank is None:
        sizes["q_proj"] = (size, attention.query_size, False)
    else:
        sizes["q_a_proj"] = (size, latent.query_rank, has_bias)
        sizes["q_b_proj"] = (latent.query_rank, attention.query_size, False)
        yield norm_tensor("self_attn.q_a_layernorm", latent.query_rank)
    yield norm_tensor("self_attn.kv_a_layernorm", latent.kv_rank)
    for name, (inputs, outputs, bias) in sizes.items():
        yield from linear_tensors(
            f"self_attn.{name}",
            inputs=inputs,
            outputs=outputs,
            role=ATTENTION,
            split=None,
            bias=bias,
        )
    if latent.index_heads:
        yield from _indexer_tensors(latent, size)


def _indexer_tensors(latent: Latent, size: int) -> Iterator[Tensor]:
    """Source: arXiv:2512.02556, section 2.1; DeepseekV32Indexer of Transformers."""
    assert latent.query_rank is not None
    dim = latent.index_dim
    sizes = {
        "wq_b": (latent.query_rank, latent.index_heads * dim),
        "wk": (size, dim),
        "weights_proj": (size, latent.index_heads),
    }
    for name, (inputs, outputs) in sizes.items():
        yield from linear_tensors(
            f"self_attn.indexer.{name}", inputs=inputs, outputs=outputs, role=ATTENTION, split=None
        )
    yield from _layer_norm("self_attn.indexer.k_norm", dim)


def _expanded(attention: Attention) -> int:
    """Keys without their rotary part, and values, of all heads."""
    assert attention.latent is not None
    return attention.heads * (attention.latent.plain_dim + attention.value_dim)


def network_tensors(network: FeedForward, size: int, *, prefix: str) -> Iterator[Tensor]:
    """Two matrices up and one down where it is gated, else one up and one down."""
    if network.is_gated:
        yield from gated_tensors(network, size, prefix=prefix)
        return
    yield from linear_tensors(
        f"{prefix}.up_proj",
        inputs=size,
        outputs=network.width,
        role=FEED_FORWARD,
        split="column",
        bias=network.has_bias,
    )
    yield from linear_tensors(
        f"{prefix}.down_proj",
        inputs=network.width,
        outputs=size,
        role=FEED_FORWARD,
        split="row",
        bias=network.has_bias,
    )


def gated_tensors(network: FeedForward, size: int, *, prefix: str) -> Iterator[Tensor]:
    outputs = {"gate_proj": network.width, "up_proj": network.width}
    if network.is_fused:
        outputs = {"gate_up_proj": 2 * network.width}
    for name, width in outputs.items():
        yield from linear_tensors(
            f"{prefix}.{name}",
            inputs=size,
            outputs=width,
            role=FEED_FORWARD,
            split="column",
            bias=network.has_bias,
        )
    yield from linear_tensors(
        f"{prefix}.down_proj",
        inputs=network.width,
        outputs=size,
        role=FEED_FORWARD,
        split="row",
        bias=network.has_bias,
    )


def expert_tensors(experts: Experts, size: int) -> Iterator[Tensor]:
    share = experts.active / experts.count
    up = (experts.count, 2 * experts.width, size)
    down = (experts.count, size, experts.width)
    if experts.has_bias:
        # gpt-oss keeps its matrices the other way round
        up = (experts.count, size, 2 * experts.width)
        down = (experts.count, experts.width, size)
    shapes = {"gate_up_proj": up, "down_proj": down}
    dims = {"gate_up_proj": 1, "down_proj": 2}
    for name, shape in shapes.items():
        yield Tensor(
            name=f"mlp.experts.{name}",
            shape=shape,
            role=EXPERT,
            split_dim=dims[name],
            active_share=share,
        )
    yield from _router(experts, size)
    yield from _shared(experts, size)


def _router(experts: Experts, size: int) -> Iterator[Tensor]:
    name = "router" if experts.has_bias else "gate"
    shape = (experts.count, size)
    yield Tensor(name=f"mlp.{name}.weight", shape=shape, role=FEED_FORWARD)
    count = experts.count
    if experts.router_bias:
        bias = "mlp.gate.e_score_correction_bias"
        yield Tensor(name=bias, shape=(1, count), role=NORM)
    if not experts.has_bias:
        return
    yield Tensor(name="mlp.router.bias", shape=(count,), role=FEED_FORWARD)
    yield Tensor(
        name="mlp.experts.gate_up_proj_bias", shape=(count, 2 * experts.width), role=EXPERT
    )
    yield Tensor(name="mlp.experts.down_proj_bias", shape=(count, size), role=EXPERT)


def _shared(experts: Experts, size: int) -> Iterator[Tensor]:
    if experts.shared_width == 0:
        return
    name = "shared_expert" if experts.has_shared_gate else "shared_experts"
    network = FeedForward(width=experts.shared_width)
    yield from gated_tensors(network, size, prefix=f"mlp.{name}")
    if experts.has_shared_gate:
        yield Tensor(name="mlp.shared_expert_gate.weight", shape=(1, size), role=FEED_FORWARD)


def _gpt2_tensors(architecture: Architecture) -> Iterator[Tensor]:
    """Conv1D keeps its matrices as (inputs, outputs); norms have biases."""
    size = architecture.hidden_size
    words = (architecture.vocab_size, size)
    places = (architecture.learned_positions, size)
    yield Tensor(name="transformer.wte.weight", shape=words, role=EMBEDDING, split_dim=0)
    yield Tensor(name="transformer.wpe.weight", shape=places, role=EMBEDDING)
    for number, block in enumerate(architecture.blocks):
        for tensor in _gpt2_block(block, size):
            yield msgspec.structs.replace(
                tensor, name=f"transformer.h.{number}.{tensor.name}", layer=number
            )
    yield from _layer_norm("transformer.ln_f", size)
    if not architecture.is_tied:
        yield Tensor(name="lm_head.weight", shape=words, role=HEAD, split_dim=0)


def _gpt2_block(block: Block, size: int) -> Iterator[Tensor]:
    assert block.feed_forward is not None
    width = block.feed_forward.width
    yield from _conv("attn.c_attn", inputs=size, outputs=3 * size, role=ATTENTION, dim=1)
    yield from _conv("attn.c_proj", inputs=size, outputs=size, role=ATTENTION, dim=0)
    yield from _conv("mlp.c_fc", inputs=size, outputs=width, role=FEED_FORWARD, dim=1)
    yield from _conv("mlp.c_proj", inputs=width, outputs=size, role=FEED_FORWARD, dim=0)
    for name in block.norms:
        yield from _layer_norm(name, size)


def _conv(name: str, *, inputs: int, outputs: int, role: str, dim: int) -> Iterator[Tensor]:
    bias_dim = 0 if dim == 1 else None
    yield Tensor(name=f"{name}.weight", shape=(inputs, outputs), role=role, split_dim=dim)
    yield Tensor(name=f"{name}.bias", shape=(outputs,), role=role, split_dim=bias_dim)


def _layer_norm(name: str, size: int) -> Iterator[Tensor]:
    yield norm_tensor(name, size)
    yield Tensor(name=f"{name}.bias", shape=(size,), role=NORM)
