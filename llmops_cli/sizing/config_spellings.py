"""Configs under the keys of other families, of remote code and of older releases -> Llama's keys.

Only names change here, and sizes that a class computes from others; families.py reads the result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from llmops_cli.sizing.config_values import Config, count_in, is_set, size_in
from llmops_cli.sizing.family_table import NESTED_SIZES, SIZE_KEYS

GPT2_KEYS = {
    "hidden_size": "n_embd",
    "num_hidden_layers": "n_layer",
    "num_attention_heads": "n_head",
    "intermediate_size": "n_inner",
    "max_position_embeddings": "n_positions",
}
MPT_KEYS = {
    "hidden_size": "d_model",
    "num_hidden_layers": "n_layers",
    "num_attention_heads": "n_heads",
    "max_position_embeddings": "max_seq_len",
}
BIASES = {"attention_bias": "use_bias", "mlp_bias": "use_bias"}
FALCON_KEYS = {
    "num_hidden_layers": "n_layer",
    "num_attention_heads": "n_head",
    "intermediate_size": "ffn_hidden_size",
    "attention_bias": "bias",
    "mlp_bias": "bias",
}
CHATGLM_KEYS = {
    "num_hidden_layers": "num_layers",
    "intermediate_size": "ffn_hidden_size",
    "num_key_value_heads": "multi_query_group_num",
    "head_dim": "kv_channels",
    "vocab_size": "padded_vocab_size",
    "max_position_embeddings": "seq_length",
    "attention_bias": "add_qkv_bias",
}
BAILING_KEYS = {"attention_bias": "use_qkv_bias", "n_shared_experts": "num_shared_experts"}
RENAMED: dict[str, dict[str, str]] = {
    "bloom": {
        "hidden_size": "n_embed",
        "num_hidden_layers": "n_layer",
        "num_attention_heads": "n_head",
    },
    "falcon": FALCON_KEYS,
    "RefinedWeb": FALCON_KEYS,
    "RefinedWebModel": FALCON_KEYS,
    "gptj": GPT2_KEYS,
    "gpt_bigcode": GPT2_KEYS,
    "mpt": MPT_KEYS,
    "dbrx": MPT_KEYS,
    "opt": {"intermediate_size": "ffn_dim"},
    "chatglm": CHATGLM_KEYS,
    "exaone": {"num_hidden_layers": "num_layers"},
    "internlm": {"attention_bias": "bias"},
    "stablelm": {"attention_bias": "use_qkv_bias"},
    "starcoder2": BIASES,
    "ernie4_5": BIASES,
    "ernie4_5_moe": {
        **BIASES,
        "num_experts_per_tok": "moe_k",
        "n_shared_experts": "moe_num_shared_experts",
        "first_k_dense_replace": "moe_layer_start_index",
        "decoder_sparse_step": "moe_layer_interval",
    },
    "bailing_moe": BAILING_KEYS,
    "bailing_moe_v2": BAILING_KEYS,
    "hunyuan_v1_moe": {"num_experts_per_tok": "moe_topk"},
}
"""Llama's key -> the family's."""


def plain_spelling(config: Config, model_type: str) -> Config:
    """With Llama's keys; a key that is there already stays as it is."""
    found = dict(config)
    for ours, theirs in RENAMED.get(model_type, {}).items():
        if found.get(ours) is None and theirs in config:
            found[ours] = _first(config[theirs])
    completed = COMPLETED.get(model_type)
    return found if completed is None else completed(found)


def with_class_sizes(part: Mapping[str, Any]) -> Config:  # Any: a config's values
    """Of a part of a larger config, with the sizes that its class has where it says none."""
    told = NESTED_SIZES.get(str(part.get("model_type")))
    if told is None:
        return part
    sizes = zip(SIZE_KEYS, told.split(), strict=False)
    missing = {key: int(size) for key, size in sizes if size != "-" and key not in part}
    return {**part, **missing}


def _first(value: object) -> object:
    """Some configs have a list with the same number for each layer."""
    if isinstance(value, list) and value and all(each == value[0] for each in value):
        return value[0]
    return value


def _falcon(config: dict[str, Any]) -> Config:  # Any: a config's values
    """Source: FalconAttention and FalconDecoderLayer of Transformers."""
    heads = size_in(config, "num_attention_heads")
    is_new = is_set(config, "new_decoder_architecture")
    is_shared = is_set(config, "multi_query", default=True)
    told = count_in(config, "num_kv_heads", count_in(config, "n_head_kv", heads))
    config["num_key_value_heads"] = 1 if is_shared and not is_new else told
    beside = is_set(config, "parallel_attn", default=True)
    norms = count_in(config, "num_ln_in_parallel_attn", 2 if is_new else 1)
    config["one_norm"] = beside and norms == 1
    return _wide(config)


def _wide(config: dict[str, Any]) -> Config:  # Any: a config's values
    if config.get("intermediate_size") is None:
        config["intermediate_size"] = 4 * size_in(config, "hidden_size")
    return config


def _bigcode(config: dict[str, Any]) -> Config:  # Any: a config's values
    if is_set(config, "multi_query", default=True):
        config["num_key_value_heads"] = 1
    return _wide(config)


def _mpt(config: dict[str, Any]) -> Config:  # Any: a config's values
    _take(config, "attn_config", {"num_key_value_heads": "kv_n_heads"})
    expansion = count_in(config, "expansion_ratio", 4)
    config.setdefault("intermediate_size", expansion * size_in(config, "hidden_size"))
    return config


def _dbrx(config: dict[str, Any]) -> Config:  # Any: a config's values
    _take(config, "attn_config", {"num_key_value_heads": "kv_n_heads"})
    inside = {
        "intermediate_size": "ffn_hidden_size",
        "num_local_experts": "moe_num_experts",
        "num_experts_per_tok": "moe_top_k",
    }
    _take(config, "ffn_config", inside)
    return config


def _take(
    config: dict[str, Any],  # Any: a config's values
    part: str,
    keys: Mapping[str, str],
) -> None:
    inside = config.get(part)
    if not isinstance(inside, Mapping):
        return
    for ours, theirs in keys.items():
        if config.get(ours) is None and inside.get(theirs) is not None:
            config[ours] = inside[theirs]


COMPLETED: dict[str, Callable[[dict[str, Any]], Config]] = {  # Any: a config's values
    "falcon": _falcon,
    "RefinedWeb": _falcon,
    "RefinedWebModel": _falcon,
    "bloom": _wide,
    "gptj": _wide,
    "gpt_bigcode": _bigcode,
    "mpt": _mpt,
    "dbrx": _dbrx,
}
