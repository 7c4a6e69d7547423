"""A model's sizes as GGUF keys."""

import gguf

from _shared.protocol import JobError
from llamacpp.architectures import GEMMA, ModelFields, head_dim_of, kv_heads_of
from llamacpp.rope import ORIGINAL_CONTEXT, add_rope, rope_of

SLIDING_PATTERN = {gguf.MODEL_ARCH.GEMMA2: 2, gguf.MODEL_ARCH.GEMMA3: 6}
"""Every so many layers llama.cpp lets one see the whole context."""


def add_hparams(
    writer: gguf.GGUFWriter,
    config: ModelFields,
    architecture: gguf.MODEL_ARCH,
) -> None:
    """Raises: JobError for what llama.cpp would compute differently."""
    heads = config["num_attention_heads"]
    head_dim = head_dim_of(config)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads_of(config))
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    is_unusual = head_dim * heads != config["hidden_size"]
    if is_unusual or architecture in GEMMA:
        writer.add_key_length(head_dim)
        writer.add_value_length(head_dim)
    rotary_share = config.get("partial_rotary_factor", 1.0)
    writer.add_rope_dimension_count(int(head_dim * rotary_share))
    add_rope(writer, config, architecture)
    if architecture in GEMMA:
        check_gemma(config, architecture)
        _add_gemma(writer, config)
    elif architecture == gguf.MODEL_ARCH.PHI3:
        _add_phi3(writer, config)


def _add_gemma(writer: gguf.GGUFWriter, config: ModelFields) -> None:
    attention_cap = config.get("attn_logit_softcapping")
    final_cap = config.get("final_logit_softcapping")
    if attention_cap:
        writer.add_attn_logit_softcapping(attention_cap)
    if final_cap:
        writer.add_final_logit_softcapping(final_cap)
    writer.add_sliding_window(config["sliding_window"])


def _add_phi3(writer: gguf.GGUFWriter, config: ModelFields) -> None:
    original = rope_of(config).get(ORIGINAL_CONTEXT) or config.get(ORIGINAL_CONTEXT)
    if not original:
        original = config["max_position_embeddings"]
    writer.add_sliding_window(config.get("sliding_window") or 0)
    writer.add_rope_scaling_orig_ctx_len(original)


def check_gemma(config: ModelFields, architecture: gguf.MODEL_ARCH) -> None:
    """llama.cpp fixes these in code, so a model that differs would run wrong without a word."""
    pattern = SLIDING_PATTERN[architecture]
    layers = config.get("layer_types")
    count = config["num_hidden_layers"]
    has_all = layers is None or len(layers) == count
    if not has_all or not _is_every_nth_full(layers or [], pattern):
        message = f"llama.cpp wants full attention in every {pattern}th layer; this model differs"
        raise JobError("UsageError", message)
    head_dim = head_dim_of(config)
    scalar = config.get("query_pre_attn_scalar", head_dim)
    width_a_head = config["hidden_size"] // config["num_attention_heads"]
    if scalar not in (head_dim, width_a_head):
        message = f"query_pre_attn_scalar {scalar} is not what llama.cpp assumes ({head_dim})"
        raise JobError("UsageError", message)
    has_attention_cap = config.get("attn_logit_softcapping") is not None
    if architecture == gguf.MODEL_ARCH.GEMMA3 and has_attention_cap:
        raise JobError("UsageError", "attn_logit_softcapping is not supported for Gemma 3")


def _is_every_nth_full(layers: list[str], pattern: int) -> bool:
    for number, kind in enumerate(layers, 1):
        is_full = kind == "full_attention"
        if is_full != (number % pattern == 0):
            return False
    return True
