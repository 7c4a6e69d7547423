"""Tiny models of each family, with what its big ones have."""

from __future__ import annotations

from typing import Any, NamedTuple

from transformers import AutoConfig

SIZES = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 32,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "use_cache": False,
    "initializer_range": 0.1,
}
GPT2 = {
    "n_embd": 32,
    "n_layer": 2,
    "n_head": 4,
    "n_positions": 32,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "use_cache": False,
    "initializer_range": 0.1,
    "resid_pdrop": 0.0,
    "embd_pdrop": 0.0,
    "attn_pdrop": 0.0,
}


WITH_DROPOUT = "gpt2 with dropout"


class Family(NamedTuple):
    """A model type of Transformers, and fields of its configuration."""

    model_type: str
    fields: dict[str, Any]
    tied: bool


FAMILIES = {
    "mistral with window": Family("mistral", {**SIZES, "sliding_window": 6}, tied=False),
    "llama of 4 blocks": Family("llama", {**SIZES, "num_hidden_layers": 4}, tied=True),
    "qwen2": Family("qwen2", SIZES, tied=True),
    "qwen3": Family("qwen3", SIZES, tied=True),
    "phi3": Family("phi3", SIZES, tied=False),
    "gemma2": Family("gemma2", {**SIZES, "sliding_window": 6}, tied=True),
    "gemma3": Family("gemma3_text", {**SIZES, "sliding_window": 6}, tied=True),
    "gpt2": Family("gpt2", GPT2, tied=True),
    WITH_DROPOUT: Family("gpt2", {**GPT2, "resid_pdrop": 0.2, "attn_pdrop": 0.2}, tied=True),
}
LLAMA = Family("llama", SIZES, tied=True)


def config_of(name: str, *, tied: bool, vocabulary: int) -> Any:
    family = FAMILIES.get(name, LLAMA)
    fields = {**family.fields, "vocab_size": vocabulary, "tie_word_embeddings": tied}
    return AutoConfig.for_model(family.model_type, **fields)
