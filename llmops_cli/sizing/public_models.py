"""Shapes of well-known models by name, from the config.json that each publishes on its page."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from llmops_cli.core.errors import unknown_name

Config = Mapping[str, Any]  # Any: each architecture has fields of its own
HUB = "https://huggingface.co/"


def _shape(
    model_type: str,
    sizes: str,
    **more: Any,  # Any: a config's values
) -> dict[str, Any]:
    """`sizes`: hidden, feed-forward, layers, heads, key-value heads, vocabulary."""
    hidden, width, layers, heads, kv_heads, vocabulary = (int(each) for each in sizes.split())
    return {
        "model_type": model_type,
        "hidden_size": hidden,
        "intermediate_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "vocab_size": vocabulary,
        "tie_word_embeddings": False,
        **more,
    }


TIED = {"tie_word_embeddings": True}
HEAD_64 = {"head_dim": 64}
HEAD_128 = {"head_dim": 128}
QWEN3_MOE = {**HEAD_128, "num_experts": 128, "num_experts_per_tok": 8}
LATENT = {
    "qk_rope_head_dim": 64,
    "qk_nope_head_dim": 128,
    "v_head_dim": 128,
    "kv_lora_rank": 512,
}
DEEPSEEK_V3 = {
    **LATENT,
    "q_lora_rank": 1536,
    "n_routed_experts": 256,
    "n_shared_experts": 1,
    "num_experts_per_tok": 8,
    "moe_intermediate_size": 2048,
    "first_k_dense_replace": 3,
}


def _gpt(hidden: int, layers: int, heads: int) -> dict[str, Any]:  # Any: a config's values
    """Megatron's, of arXiv:2104.04473, table 1."""
    return {
        "model_type": "gpt2",
        "n_embd": hidden,
        "n_layer": layers,
        "n_head": heads,
        "n_positions": 2048,
        "vocab_size": 51200,
    }


CONFIGS: dict[str, Config] = {
    "gpt-175b": _gpt(12288, 96, 96),
    "gpt-530b": _gpt(20480, 105, 128),
    "gpt-1t": _gpt(25600, 128, 160),
    "llama-2-7b": _shape("llama", "4096 11008 32 32 32 32000"),
    "llama-2-13b": _shape("llama", "5120 13824 40 40 40 32000"),
    "llama-2-70b": _shape("llama", "8192 28672 80 64 8 32000"),
    "codellama-7b": _shape("llama", "4096 11008 32 32 32 32016"),
    "llama-3-8b": _shape("llama", "4096 14336 32 32 8 128256"),
    "llama-3-70b": _shape("llama", "8192 28672 80 64 8 128256"),
    "llama-3.1-8b": _shape("llama", "4096 14336 32 32 8 128256"),
    "llama-3.1-70b": _shape("llama", "8192 28672 80 64 8 128256"),
    "llama-3.1-405b": _shape("llama", "16384 53248 126 128 8 128256"),
    "llama-3.2-1b": _shape("llama", "2048 8192 16 32 8 128256", **TIED, **HEAD_64),
    "llama-3.2-3b": _shape("llama", "3072 8192 28 24 8 128256", **TIED, **HEAD_128),
    "llama-3.3-70b": _shape("llama", "8192 28672 80 64 8 128256"),
    "yi-1.5-9b": _shape("llama", "4096 11008 48 32 4 64000"),
    "internlm3-8b": _shape("llama", "4096 10240 48 32 2 128512", **HEAD_128),
    "smollm2-135m": _shape("llama", "576 1536 30 9 3 49152", **TIED),
    "mistral-7b": _shape("mistral", "4096 14336 32 32 8 32768"),
    "ministral-8b": _shape("mistral", "4096 12288 36 32 8 131072", **HEAD_128),
    "mistral-nemo": _shape("mistral", "5120 14336 40 32 8 131072", **HEAD_128),
    "mistral-small-24b": _shape("mistral", "5120 32768 40 32 8 131072", **HEAD_128),
    "granite-3.1-8b": _shape("granite", "4096 12800 40 32 8 49155", **TIED),
    "phi-3.5-mini": _shape("phi3", "3072 8192 32 32 32 32064"),
    "phi-4": _shape("phi3", "5120 17920 40 40 10 100352"),
    "qwen2.5-0.5b": _shape("qwen2", "896 4864 24 14 2 151936", **TIED),
    "qwen2.5-1.5b": _shape("qwen2", "1536 8960 28 12 2 151936", **TIED),
    "qwen2.5-3b": _shape("qwen2", "2048 11008 36 16 2 151936", **TIED),
    "qwen2.5-7b": _shape("qwen2", "3584 18944 28 28 4 152064"),
    "qwen2.5-14b": _shape("qwen2", "5120 13824 48 40 8 152064"),
    "qwen2.5-32b": _shape("qwen2", "5120 27648 64 40 8 152064"),
    "qwen2.5-72b": _shape("qwen2", "8192 29568 80 64 8 152064"),
    "qwen2-vl-2b": _shape("qwen2", "1536 8960 28 12 2 151936", **TIED),
    "qwen3-0.6b": _shape("qwen3", "1024 3072 28 16 8 151936", **TIED, **HEAD_128),
    "qwen3-1.7b": _shape("qwen3", "2048 6144 28 16 8 151936", **TIED, **HEAD_128),
    "qwen3-4b": _shape("qwen3", "2560 9728 36 32 8 151936", **TIED, **HEAD_128),
    "qwen3-8b": _shape("qwen3", "4096 12288 36 32 8 151936", **HEAD_128),
    "qwen3-14b": _shape("qwen3", "5120 17408 40 40 8 151936", **HEAD_128),
    "qwen3-32b": _shape("qwen3", "5120 25600 64 64 8 151936", **HEAD_128),
    "qwen3-30b-a3b": _shape(
        "qwen3_moe", "2048 6144 48 32 4 151936", **QWEN3_MOE, moe_intermediate_size=768
    ),
    "qwen3-235b-a22b": _shape(
        "qwen3_moe", "4096 12288 94 64 4 151936", **QWEN3_MOE, moe_intermediate_size=1536
    ),
    "mixtral-8x7b": _shape(
        "mixtral", "4096 14336 32 32 8 32000", num_local_experts=8, num_experts_per_tok=2
    ),
    "mixtral-8x22b": _shape(
        "mixtral", "6144 16384 56 48 8 32768", num_local_experts=8, num_experts_per_tok=2
    ),
    "gemma-2-9b": _shape(
        "gemma2", "3584 14336 42 16 8 256000", **TIED, head_dim=256, sliding_window=4096
    ),
    "gemma-2-27b": _shape(
        "gemma2", "4608 36864 46 32 16 256000", **TIED, **HEAD_128, sliding_window=4096
    ),
    "gemma-3-1b": _shape(
        "gemma3_text", "1152 6912 26 4 1 262144", **TIED, head_dim=256, sliding_window=512
    ),
    "gemma-3-4b": _shape(
        "gemma3_text", "2560 10240 34 8 4 262208", **TIED, head_dim=256, sliding_window=1024
    ),
    "gemma-3-12b": _shape(
        "gemma3_text", "3840 15360 48 16 8 262208", **TIED, head_dim=256, sliding_window=1024
    ),
    "gemma-3-27b": _shape(
        "gemma3_text", "5376 21504 62 32 16 262208", **TIED, **HEAD_128, sliding_window=1024
    ),
    "gpt-oss-20b": _shape(
        "gpt_oss",
        "2880 2880 24 64 8 201088",
        **HEAD_64,
        num_local_experts=32,
        num_experts_per_tok=4,
        sliding_window=128,
    ),
    "gpt-oss-120b": _shape(
        "gpt_oss",
        "2880 2880 36 64 8 201088",
        **HEAD_64,
        num_local_experts=128,
        num_experts_per_tok=4,
        sliding_window=128,
    ),
    "deepseek-coder-v2-lite": _shape(
        "deepseek_v2",
        "2048 10944 27 16 16 102400",
        **LATENT,
        n_routed_experts=64,
        n_shared_experts=2,
        num_experts_per_tok=6,
        moe_intermediate_size=1408,
        first_k_dense_replace=1,
    ),
    "deepseek-v3": _shape("deepseek_v3", "7168 18432 61 128 128 129280", **DEEPSEEK_V3),
    "kimi-k2.5": _shape(
        "deepseek_v3",
        "7168 18432 61 64 64 163840",
        **{**DEEPSEEK_V3, "n_routed_experts": 384, "first_k_dense_replace": 1},
    ),
}
POSITIONS = {
    2048: "gpt-175b gpt-530b gpt-1t",
    4096: "llama-2-7b llama-2-13b llama-2-70b yi-1.5-9b",
    8192: "llama-3-8b llama-3-70b smollm2-135m gemma-2-9b gemma-2-27b",
    16_384: "codellama-7b phi-4",
    32_768: "mistral-7b mixtral-8x7b mistral-small-24b gemma-3-1b",
    40_960: "qwen3-0.6b qwen3-1.7b qwen3-4b qwen3-8b qwen3-14b qwen3-32b qwen3-30b-a3b",
    65_536: "mixtral-8x22b",
    131_072: (
        "llama-3.1-8b llama-3.1-70b llama-3.1-405b llama-3.2-1b llama-3.2-3b llama-3.3-70b "
        "granite-3.1-8b phi-3.5-mini gemma-3-4b gemma-3-12b gemma-3-27b gpt-oss-20b gpt-oss-120b"
    ),
    163_840: "deepseek-coder-v2-lite deepseek-v3",
}
"""`max_position_embeddings` of the configs above, where all models of a name have the same."""
_POSITIONS = {name: count for count, names in POSITIONS.items() for name in names.split()}
ALIASES = {
    "deepseek-r1": "deepseek-v3",
    "deepseek-v3.1": "deepseek-v3",
    "deepseek-v2-lite": "deepseek-coder-v2-lite",
    "deepseek-r1-distill-llama-8b": "llama-3.1-8b",
    "deepseek-r1-distill-llama-70b": "llama-3.3-70b",
    "deepseek-r1-distill-qwen-1.5b": "qwen2.5-1.5b",
    "deepseek-r1-distill-qwen-7b": "qwen2.5-7b",
    "deepseek-r1-distill-qwen-14b": "qwen2.5-14b",
    "deepseek-r1-distill-qwen-32b": "qwen2.5-32b",
    "openbuddy-llama3.3-70b": "llama-3.3-70b",
    "kimi-k2": "kimi-k2.5",
    "megatron-gpt-3-175b": "gpt-175b",
    "gpt-3-175b": "gpt-175b",
    "llama-7b": "llama-2-7b",
    "llama-13b": "llama-2-13b",
    "llama-70b": "llama-2-70b",
    "smollm2": "smollm2-135m",
}
_LONGER = ("-1m", "-131k", "-2507")
"""Ends of names whose models were made for longer contexts."""
_ENDS = re.compile(
    r"[-_](?:instruct|chat|it|base|hf|thinking|bf16|fp16|1m|gguf|\d{4}|v\d(?:\.\d)*|v24\.1|131k)$"
)


def config_named(name: str) -> Config:
    """By its name on the hub, with or without owner, `Instruct` and the like.

    Raises: UsageError for one that is not in the table, with the nearest.
    """
    plain = plain_name(name)
    if plain not in CONFIGS:
        raise unknown_name("model", name, CONFIGS)
    config = CONFIGS[plain]
    positions = _POSITIONS.get(plain)
    if positions is None or _is_of_another(name):
        return config
    return {**config, "max_position_embeddings": positions}


def _is_of_another(name: str) -> bool:
    """A name that only has the shape of the model in the table, and positions of its own."""
    plain = name.strip().rpartition("/")[2].lower()
    if plain in CONFIGS:
        return False
    return any(plain.startswith(alias) for alias in ALIASES) or plain.endswith(_LONGER)


def is_named(name: str) -> bool:
    return plain_name(name) in CONFIGS


def plain_name(name: str) -> str:
    """The table's spelling of a name, as far as endings decide it."""
    plain = name.strip().rpartition("/")[2].lower()
    plain = re.sub(r"\(.*", "", plain).strip().replace(" ", "-")
    plain = plain.removeprefix("meta-")
    plain = plain.replace("-coder", "") if plain.startswith("qwen") else plain
    while True:
        found = ALIASES.get(plain, plain)
        if found in CONFIGS:
            return found
        shorter = _ENDS.sub("", plain)
        if shorter == plain:
            return plain
        plain = shorter
