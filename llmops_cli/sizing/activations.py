"""What autograd keeps of a forward pass until the backward pass, operation by operation.

Counted from Transformers' own modelling code: which tensors each operation saves, each storage
once. All figures are bytes for one token unless a name says otherwise; D hidden size, F width of
the feed-forward, V vocabulary, H heads.
"""

from __future__ import annotations

import msgspec

from llmops_cli.sizing.architecture import Architecture, Attention, Block, Experts, FeedForward
from llmops_cli.sizing.work import Numbers

F32 = 4
LONG = 8


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """Under which conditions a block runs.

    tensor: over how many devices its matrices are split. splits_sequence: norms and what lies
    between blocks are split too. is_packed: rows hold several documents, so attention has a mask.
    """

    numbers: Numbers
    sequence_length: int
    attention: str = "sdpa"
    tensor: int = 1
    splits_sequence: bool = False
    is_packed: bool = False
    is_compiled: bool = False
    on_cpu: bool = False

    @property
    def stream_ways(self) -> int:
        return self.tensor if self.splits_sequence else 1


def block_bytes(block: Block, architecture: Architecture, kept: Kept) -> float:
    """One block without checkpointing."""
    total = len(block.norms) * norm_bytes(architecture, kept)
    total += attention_bytes(block.attention, architecture, kept)
    if block.feed_forward is not None:
        total += feed_forward_bytes(block.feed_forward, architecture, kept)
    if block.experts is not None:
        total += expert_bytes(block.experts, architecture, kept)
    return total


def norm_bytes(architecture: Architecture, kept: Kept, size: int | None = None) -> float:
    """The input in f32 and what was normalised of it; LayerNorm and a compiled one: the input."""
    elements = (size or architecture.hidden_size) / kept.stream_ways
    stream = kept.numbers.stream
    if kept.is_compiled or architecture.norm == "layer":
        return elements * stream
    normalised = F32 if architecture.norm == "gemma" else stream
    return elements * (F32 + normalised)


def input_bytes(size: int, uses: int, kept: Kept) -> float:
    """What `uses` matrices keep of the one vector of `size` that they all read."""
    if kept.is_compiled:
        return 0.0
    if kept.numbers.is_autocast:
        return float(size * kept.numbers.compute * uses)
    return float(size * kept.numbers.compute)


def attention_bytes(attention: Attention, architecture: Architecture, kept: Kept) -> float:
    size = architecture.hidden_size
    uses = 1 if attention.is_fused else 3
    total = input_bytes(size, uses, kept)
    if attention.latent is not None:
        total += _latent_bytes(attention, kept)
    if attention.norm_per_head or attention.norm_per_row:
        total += _query_norm_bytes(attention, architecture, kept)
    total += _core_bytes(attention, kept)
    return total


def _dropout_bytes(elements: float, kept: Kept) -> float:
    """On a GPU a mask of one byte; elsewhere the scaled noise."""
    return elements * (kept.numbers.compute if kept.on_cpu else 1)


def attention_ways(attention: Attention, kept: Kept) -> int:
    """Over how many devices heads are shared out.

    None where they don't divide, are in one matrix with others, or drop out, as in our trainer.
    """
    divides = attention.heads % kept.tensor == 0 and attention.kv_heads % kept.tensor == 0
    if attention.is_fused or attention.dropout or attention.latent is not None or not divides:
        return 1
    return kept.tensor


def _query_norm_bytes(attention: Attention, architecture: Architecture, kept: Kept) -> float:
    elements = (attention.query_size + attention.key_size) / attention_ways(attention, kept)
    compute = kept.numbers.compute
    if kept.is_compiled:
        return elements * compute
    normalised = F32 if architecture.norm == "gemma" else compute
    return elements * (F32 + normalised)


def _latent_bytes(attention: Attention, kept: Kept) -> float:
    """The low-rank vectors, their norms, and what is made of them before attention."""
    latent = attention.latent
    assert latent is not None
    ranks = latent.kv_rank + (latent.query_rank or 0)
    return float(ranks * (F32 + 2 * kept.numbers.compute))


def _core_bytes(attention: Attention, kept: Kept) -> float:
    """Queries, keys and values as attention reads them, its output, and what lies between."""
    is_eager = _is_eager(attention, kept)
    is_plain = not is_eager and kept.on_cpu and attention.dropout
    each = F32 if is_plain else kept.numbers.compute
    total = float(_read_elements(attention, kept) * each)
    total += attention.output_size * kept.numbers.compute
    if is_eager:
        total += _probability_bytes(attention, kept)
    elif is_plain:
        # no kernel of a CPU drops out: probabilities, noise, and their product, all in f32
        total += 3 * F32 * attention.heads * kept.sequence_length
    else:
        total += attention.heads * F32 + _kernel_bytes(attention, kept)
    return total / attention_ways(attention, kept)


def _kernel_bytes(attention: Attention, kept: Kept) -> float:
    """Beside the sums of each head: a mask in the compute format, and a second output.

    Queries that were joined of two parts lie head by head, and so does what is made of them, so the
    next matrix has a copy.
    """
    total = 0.0
    if _is_joined(attention):
        total += attention.output_size * kept.numbers.compute
    if _is_masked(attention, kept):
        mask = kept.sequence_length * kept.numbers.compute
        total += mask * attention_ways(attention, kept)
    return total


def _is_joined(attention: Attention) -> bool:
    is_partly_rotary = attention.is_fused and attention.is_rotary
    return is_partly_rotary or attention.latent is not None


def _is_eager(attention: Attention, kept: Kept) -> bool:
    """The T x T matrix is there: no kernel has soft-caps or sinks, none of a CPU two sizes."""
    is_uneven = kept.on_cpu and attention.head_dim != attention.value_dim
    return kept.attention == "eager" or attention.softcap or attention.sinks or is_uneven


def _is_masked(attention: Attention, kept: Kept) -> bool:
    """SDPA with a mask: of packed documents, or of a window that is shorter than the rows."""
    if kept.attention != "sdpa":
        return False
    is_windowed = attention.window is not None and attention.window < kept.sequence_length
    return kept.is_packed or is_windowed


def _read_elements(attention: Attention, kept: Kept) -> int:
    """Queries, keys and values as they are held.

    Keys and values once for each head of queries where a kernel can't share them. Values that are a
    view of a fused projection hold all of it.
    """
    repeats = _is_eager(attention, kept) or _is_masked(attention, kept)
    if repeats and attention.heads != attention.kv_heads:
        return attention.query_size + attention.heads * (attention.head_dim + attention.value_dim)
    projected = attention.query_size + attention.key_size + attention.value_size
    if attention.is_fused and attention.is_rotary:
        return attention.query_size + attention.key_size + projected
    return projected


def _probability_bytes(attention: Attention, kept: Kept) -> float:
    """Rows of the T x T matrix of each head: the softmax, its cast, its dropout, its soft-cap."""
    compute = kept.numbers.compute
    in_f32 = attention.softmax_format == "f32" or kept.numbers.is_autocast
    each = float(F32 if in_f32 else compute)
    if in_f32 and compute != F32:
        each += compute
    if attention.dropout:
        is_cast = in_f32 and compute != F32
        each += _dropout_bytes(1, kept) + (0 if is_cast else compute)
    if attention.softcap:
        each += compute
    return attention.heads * kept.sequence_length * each


def feed_forward_bytes(network: FeedForward, architecture: Architecture, kept: Kept) -> float:
    if not network.is_gated:
        return _plain_bytes(network, architecture, kept)
    uses = 1 if network.is_fused else 2
    total = input_bytes(architecture.hidden_size, uses, kept)
    copies = 2 if kept.is_compiled else 4
    ways = 1 if network.is_fused else kept.tensor
    return total + copies * network.width * kept.numbers.compute / ways


def _plain_bytes(network: FeedForward, architecture: Architecture, kept: Kept) -> float:
    """GPT-2's `gelu_new`: made of five operations, of which CUDA's autocast does three in f32."""
    size = architecture.hidden_size
    total = input_bytes(size, 1, kept)
    compute = kept.numbers.compute
    each = 5 * compute
    if kept.numbers.is_autocast and not kept.on_cpu:
        each = 3 * F32 + 2 * compute
    if kept.is_compiled:
        each = compute
    total += network.width * each / kept.tensor
    if network.dropout:
        # one behind attention, one behind this network
        total += 2 * _dropout_bytes(size, kept)
    return total


def expert_bytes(experts: Experts, architecture: Architecture, kept: Kept) -> float:
    """Every expert keeps what it reads: a token's vector once for each of its experts.

    torch's grouped product is not among those that autocast casts, so it has the stream's format.
    """
    size = architecture.hidden_size
    compute = kept.numbers.stream
    inputs = experts.active * size * compute
    inner = experts.active * 4 * experts.width * compute / kept.tensor
    outputs = experts.active * size * compute
    router = experts.count * F32 + input_bytes(size, 1, kept)
    total = inputs + inner + outputs + router
    if experts.shared_width > 0:
        shared = FeedForward(width=experts.shared_width)
        total += feed_forward_bytes(shared, architecture, kept)
    return total


def block_input_bytes(architecture: Architecture, kept: Kept) -> float:
    """All that full checkpointing keeps of a block."""
    return architecture.hidden_size * kept.numbers.stream / kept.stream_ways


def head_bytes(architecture: Architecture, kept: Kept, *, vocabulary_ways: int = 1) -> float:
    """From the last block to the loss: the norm, the head's input, and probabilities in f32."""
    total = norm_bytes(architecture, kept)
    total += input_bytes(architecture.hidden_size, 1, kept)
    each = F32
    if architecture.logits_softcap:
        each += kept.numbers.compute
    return total + architecture.vocab_size * each / vocabulary_ways + LONG


def loss_workspace_bytes(
    architecture: Architecture,
    kept: Kept,
    *,
    vocabulary_ways: int = 1,
) -> float:
    """What stands beside the probabilities while the loss goes backward.

    Two gradients in f32 (of the probabilities, of the logits); where the logits are in another
    format, the second is cast when the first is gone, so two it stays. A vocabulary that is split
    has a third (torch's loss_parallel: the exponentials).
    """
    copies = 2 if vocabulary_ways == 1 else 3
    return copies * F32 * architecture.vocab_size / vocabulary_ways
