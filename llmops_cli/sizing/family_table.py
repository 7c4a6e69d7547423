"""What each family of plain decoders does that its config does not say: data, read by families.py.

Source: modeling_*.py and configuration_*.py of Transformers 5; tests/data/configurations.json has
what its classes count for a configuration of each.
"""

from __future__ import annotations

import msgspec

PRE_NORMS = ("input_layernorm", "post_attention_layernorm")
POST_NORMS = ("post_attention_layernorm", "post_feedforward_layernorm")
SANDWICH = (*PRE_NORMS, "pre_feedforward_layernorm", "post_feedforward_layernorm")
GLM_SANDWICH = (*PRE_NORMS, "post_self_attn_layernorm", "post_mlp_layernorm")
PARALLEL = ("input_layernorm",)
"""Attention and network side by side behind one norm."""


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """Where a config is silent.

    query_bias, output_bias: None: as `attention_bias` says. norm_bias: norms have a bias each.
    head_norm_key: of a config, whether queries and keys have norms (as `norm_per_*` says how).
    parallel_key: whether a block has its first norm alone. shared_count: experts for all tokens.
    dense_layers: how many layers come before the first with experts. extra_positions: rows that a
    table of learned positions has beyond those of the config; None: it has no such table.
    """

    norm: str = "rms"
    norms: tuple[str, ...] = PRE_NORMS
    norm_bias: bool = False
    parallel_key: str | None = None
    is_tied: bool = False
    head_dim: int | None = None
    kv_heads: int | None = None
    attention_bias: bool = False
    query_bias: bool | None = None
    output_bias: bool | None = None
    output_bias_key: str | None = None
    norm_per_head: bool = False
    norm_per_row: bool = False
    head_norm_key: str | None = None
    is_fused: bool = False
    is_gated: bool = True
    mlp_bias: bool = False
    reads_mlp_bias: bool = False
    activation_values: int = 0
    head_bias: bool = False
    head_bias_key: str | None = None
    sinks: bool = False
    expert_bias: bool = False
    router_bias: bool = False
    softcaps: bool = False
    experts_key: str | None = None
    expert_width_key: str = "moe_intermediate_size"
    shared_width_key: str | None = None
    shared_count: int = 0
    dense_layers: int = 0
    has_indexer: bool = False
    extra_positions: int | None = None
    embedding_norm: bool = False


LAYER_NORM = Family(norm="layer", norm_bias=True)


def _layer_norm(**fields: object) -> Family:
    return msgspec.structs.replace(LAYER_NORM, **fields)


LOCAL_EXPERTS = "num_local_experts"
ROUTED_EXPERTS = "n_routed_experts"
PLAIN_WIDTH = "intermediate_size"
FAMILIES: dict[str, Family] = {
    "llama": Family(reads_mlp_bias=True),
    "mistral": Family(kv_heads=8, query_bias=False, output_bias=False),
    "ministral": Family(kv_heads=8, query_bias=False, output_bias=False),
    "qwen2": Family(query_bias=True, output_bias=False),
    "qwen3": Family(head_dim=128, norm_per_head=True),
    "phi3": Family(query_bias=False, output_bias=False, is_fused=True),
    "gemma": Family(norm="gemma", is_tied=True, head_dim=256),
    "gemma2": Family(norm="gemma", norms=SANDWICH, is_tied=True, head_dim=256, softcaps=True),
    "gemma3_text": Family(
        norm="gemma", norms=SANDWICH, is_tied=True, head_dim=256, norm_per_head=True
    ),
    "vaultgemma": Family(
        norm="gemma",
        norms=("input_layernorm", "pre_feedforward_layernorm"),
        is_tied=True,
        head_dim=256,
        softcaps=True,
    ),
    "olmo": Family(norm="plain", norms=()),
    "olmo2": Family(norms=POST_NORMS, norm_per_row=True),
    "smollm3": Family(kv_heads=4, is_tied=True, reads_mlp_bias=True),
    "granite": Family(reads_mlp_bias=True),
    "helium": Family(head_dim=128, reads_mlp_bias=True),
    "minicpm": Family(is_tied=True),
    "internlm": Family(attention_bias=True),
    "glm": Family(head_dim=128, attention_bias=True, output_bias=False),
    "glm4": Family(norms=GLM_SANDWICH, head_dim=128, attention_bias=True, output_bias=False),
    "chatglm": Family(output_bias=False),
    "exaone4": Family(norms=POST_NORMS, norm_per_head=True, query_bias=False, output_bias=False),
    "seed_oss": Family(
        head_dim=128,
        attention_bias=True,
        output_bias=False,
        output_bias_key="attention_out_bias",
        reads_mlp_bias=True,
    ),
    "hunyuan_v1_dense": Family(norm_per_head=True),
    "ernie4_5": Family(is_tied=True, head_dim=128, reads_mlp_bias=True),
    "arcee": Family(is_gated=False, reads_mlp_bias=True),
    "apertus": Family(is_gated=False, norm_per_head=True, activation_values=2),
    "cohere": Family(
        norm="layer",
        norms=PARALLEL,
        is_tied=True,
        norm_per_row=True,
        head_norm_key="use_qk_norm",
    ),
    "cohere2": Family(norm="layer", norms=PARALLEL, is_tied=True),
    "nemotron": _layer_norm(is_gated=False, reads_mlp_bias=True),
    "stablelm": _layer_norm(
        parallel_key="use_parallel_residual",
        output_bias=False,
        norm_per_row=True,
        head_norm_key="qk_layernorm",
    ),
    "starcoder2": _layer_norm(
        is_tied=True,
        kv_heads=2,
        attention_bias=True,
        is_gated=False,
        mlp_bias=True,
        reads_mlp_bias=True,
    ),
    "phi": _layer_norm(
        norms=PARALLEL,
        query_bias=True,
        output_bias=True,
        is_gated=False,
        mlp_bias=True,
        head_bias=True,
    ),
    "gpt_neox": _layer_norm(attention_bias=True, is_fused=True, is_gated=False, mlp_bias=True),
    "gptj": _layer_norm(
        norms=PARALLEL,
        query_bias=False,
        output_bias=False,
        is_gated=False,
        mlp_bias=True,
        head_bias=True,
    ),
    "bloom": _layer_norm(
        is_tied=True,
        query_bias=True,
        output_bias=True,
        is_fused=True,
        is_gated=False,
        mlp_bias=True,
        embedding_norm=True,
    ),
    "falcon": _layer_norm(
        is_tied=True, is_fused=True, is_gated=False, reads_mlp_bias=True, parallel_key="one_norm"
    ),
    "opt": _layer_norm(
        is_tied=True,
        query_bias=True,
        output_bias=True,
        is_gated=False,
        mlp_bias=True,
        extra_positions=2,
    ),
    "gpt_bigcode": _layer_norm(
        is_tied=True,
        query_bias=True,
        output_bias=True,
        is_fused=True,
        is_gated=False,
        mlp_bias=True,
        extra_positions=0,
    ),
    "mpt": Family(
        norm="layer",
        is_tied=True,
        query_bias=False,
        output_bias=False,
        is_fused=True,
        is_gated=False,
    ),
    "dbrx": Family(
        norm="layer",
        query_bias=False,
        output_bias=False,
        is_fused=True,
        experts_key=LOCAL_EXPERTS,
        expert_width_key=PLAIN_WIDTH,
    ),
    "mixtral": Family(
        kv_heads=8,
        query_bias=False,
        output_bias=False,
        experts_key=LOCAL_EXPERTS,
        expert_width_key=PLAIN_WIDTH,
    ),
    "minimax_m2": Family(
        query_bias=False,
        output_bias=False,
        norm_per_row=True,
        experts_key=LOCAL_EXPERTS,
        expert_width_key=PLAIN_WIDTH,
    ),
    "phimoe": _layer_norm(
        head_bias_key="lm_head_bias", experts_key=LOCAL_EXPERTS, expert_width_key=PLAIN_WIDTH
    ),
    "granitemoe": Family(experts_key=LOCAL_EXPERTS, expert_width_key=PLAIN_WIDTH),
    "granitemoeshared": Family(
        experts_key=LOCAL_EXPERTS,
        expert_width_key=PLAIN_WIDTH,
        shared_width_key="shared_intermediate_size",
    ),
    "olmoe": Family(norm_per_row=True, experts_key="num_experts", expert_width_key=PLAIN_WIDTH),
    "qwen2_moe": Family(query_bias=True, output_bias=False, experts_key="num_experts"),
    "qwen3_moe": Family(norm_per_head=True, experts_key="num_experts"),
    "hunyuan_v1_moe": Family(
        norm_per_head=True,
        experts_key="num_experts",
        expert_width_key=PLAIN_WIDTH,
        shared_count=1,
    ),
    "ernie4_5_moe": Family(
        is_tied=True,
        reads_mlp_bias=True,
        router_bias=True,
        experts_key="moe_num_experts",
        dense_layers=1,
    ),
    "glm4_moe": Family(
        output_bias=False,
        norm_per_head=True,
        head_norm_key="use_qk_norm",
        experts_key=ROUTED_EXPERTS,
        dense_layers=1,
    ),
    "bailing_moe": Family(
        output_bias=False,
        norm_per_head=True,
        head_norm_key="use_qk_norm",
        experts_key="num_experts",
    ),
    "dots1": Family(norm_per_head=True, experts_key=ROUTED_EXPERTS),
    "deepseek": Family(experts_key=ROUTED_EXPERTS),
    "deepseek_v2": Family(reads_mlp_bias=True, experts_key=ROUTED_EXPERTS),
    "deepseek_v3": Family(experts_key=ROUTED_EXPERTS),
    "deepseek_v32": Family(experts_key=ROUTED_EXPERTS, dense_layers=3, has_indexer=True),
    "glm4_moe_lite": Family(experts_key=ROUTED_EXPERTS, dense_layers=1),
    "glm_moe_dsa": Family(experts_key=ROUTED_EXPERTS, dense_layers=3, has_indexer=True),
    "gpt_oss": Family(
        head_dim=64,
        sinks=True,
        attention_bias=True,
        expert_bias=True,
        experts_key=LOCAL_EXPERTS,
        expert_width_key=PLAIN_WIDTH,
    ),
}
ALIASES = {
    "gemma3": "gemma3_text",
    "qwen2_vl": "qwen2",
    "qwen2_vl_text": "qwen2",
    "qwen2_5_vl": "qwen2",
    "qwen2_5_vl_text": "qwen2",
    "qwen2_5_omni_text": "qwen2",
    "qwen3_vl_text": "qwen3",
    "qwen3_vl_moe_text": "qwen3_moe",
    "qwen3_omni_moe_text": "qwen3_moe",
    "ministral3": "ministral",
    "mistral4": "deepseek_v3",
    "kimi_k2": "deepseek_v3",
    "olmo3": "olmo2",
    "phi3_v": "phi3",
    "phi4mm": "phi3",
    "phi4_multimodal": "phi3",
    "bailing_moe_v2": "bailing_moe",
    "glm4v_text": "glm4",
    "glm4v_moe_text": "glm4_moe",
    "internlm2": "llama",
    "internlm3": "llama",
    "baichuan": "llama",
    "yi": "llama",
    "aquila": "llama",
    "exaone": "llama",
    "deepseek_llm": "llama",
    "RefinedWebModel": "falcon",
    "RefinedWeb": "falcon",
}
"""Families that are built as another is."""
LINEAR = "linear attention in most of its layers"
UNSUPPORTED = {
    "recurrentgemma": "gated linear recurrences",
    "recurrent_gemma": "gated linear recurrences",
    "minimax": LINEAR,
    "minimax_text_01": LINEAR,
    "minimax_m1": LINEAR,
    "kimi_linear": LINEAR,
    "bailing_hybrid": LINEAR,
    "bailing_moe_linear": LINEAR,
    "rwkv": "no attention, and a state of its own form",
    "zamba": "blocks that several layers share",
    "zamba2": "blocks that several layers share",
}
"""Families that reading as Llama's would make quite wrong, with what they have."""
TABLES_BY_LAYER = "tables of words by layer, and layers that share a cache"
SERVED_ONLY = {
    "gemma3n": TABLES_BY_LAYER,
    "gemma3n_text": TABLES_BY_LAYER,
    "gemma4": TABLES_BY_LAYER,
    "gemma4_text": TABLES_BY_LAYER,
    "openelm": "heads and widths that differ by layer",
}
"""Families that mixed_families.py counts for serving, and whose training is not counted."""
SIZE_KEYS = (
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "vocab_size",
    "head_dim",
)
NESTED_SIZES = {
    "llama": "4096 11008 32 32 - 32000",
    "mistral": "4096 14336 32 32 8 32000",
    "gemma": "3072 24576 28 16 16 256000 256",
    "gemma2": "2304 9216 26 8 4 256000 256",
    "gemma3_text": "2304 9216 26 8 4 262208 256",
    "gemma3n_text": "2048 16384 35 8 2 262400 256",
    "gemma4_text": "2304 9216 30 8 4 262144 256",
    "qwen2": "4096 22016 32 32 32 151936",
    "qwen2_vl_text": "8192 29568 80 64 8 152064",
    "qwen2_5_vl_text": "8192 29568 80 64 8 152064",
    "qwen3": "4096 22016 32 32 32 151936 128",
    "cohere": "8192 22528 40 64 - 256000",
    "cohere2": "8192 22528 40 64 - 256000",
    "phi3": "3072 8192 32 32 - 32064",
    "llama4_text": "5120 8192 48 40 8 202048 128",
    "mllama_text_model": "4096 14336 40 32 8 128256",
}
"""What a part of a multi-modal config leaves out, in the order of SIZE_KEYS: it is saved without
what its class has anyway. `-`: as other keys say."""
