"""Shapes of well-known models by name, from the config.json that each publishes on its page."""

from __future__ import annotations

import re
from typing import Any

from llmops_cli.core.errors import unknown_name
from llmops_cli.sizing.public_experts import EXPERTS
from llmops_cli.sizing.public_hybrids import HYBRIDS
from llmops_cli.sizing.public_older import OLDER
from llmops_cli.sizing.public_recent import RECENT
from llmops_cli.sizing.public_shapes import (
    DEEPSEEK_V3,
    HEAD_64,
    HEAD_128,
    LATENT,
    QWEN3_MOE,
    TIED,
    Config,
    shape,
    vision,
)

HUB = "https://huggingface.co/"


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


GEMMA_TOWER = {
    "model_type": "siglip_vision_model",
    "hidden_size": 1152,
    "intermediate_size": 4304,
    "num_hidden_layers": 27,
    "patch_size": 14,
    "image_size": 896,
    "vision_use_head": False,
}


def _gemma3(sizes: str, **more: Any) -> dict[str, Any]:  # Any: a config's values
    text = shape("gemma3_text", sizes, **TIED, sliding_window=1024, **more)
    return vision("gemma3", text, GEMMA_TOWER)


CONFIGS: dict[str, Config] = {
    **OLDER,
    **RECENT,
    **EXPERTS,
    **HYBRIDS,
    "gpt-175b": _gpt(12288, 96, 96),
    "gpt-530b": _gpt(20480, 105, 128),
    "gpt-1t": _gpt(25600, 128, 160),
    "llama-2-7b": shape("llama", "4096 11008 32 32 32 32000"),
    "llama-2-13b": shape("llama", "5120 13824 40 40 40 32000"),
    "llama-2-70b": shape("llama", "8192 28672 80 64 8 32000"),
    "codellama-7b": shape("llama", "4096 11008 32 32 32 32016"),
    "llama-3-8b": shape("llama", "4096 14336 32 32 8 128256"),
    "llama-3-70b": shape("llama", "8192 28672 80 64 8 128256"),
    "llama-3.1-8b": shape("llama", "4096 14336 32 32 8 128256"),
    "llama-3.1-70b": shape("llama", "8192 28672 80 64 8 128256"),
    "llama-3.1-405b": shape("llama", "16384 53248 126 128 8 128256"),
    "llama-3.2-1b": shape("llama", "2048 8192 16 32 8 128256", **TIED, **HEAD_64),
    "llama-3.2-3b": shape("llama", "3072 8192 28 24 8 128256", **TIED, **HEAD_128),
    "llama-3.3-70b": shape("llama", "8192 28672 80 64 8 128256"),
    "yi-1.5-9b": shape("llama", "4096 11008 48 32 4 64000"),
    "internlm3-8b": shape("llama", "4096 10240 48 32 2 128512", **HEAD_128),
    "demo": shape("llama", "256 512 2 4 2 995", **TIED),
    "smollm2-135m": shape("llama", "576 1536 30 9 3 49152", **TIED),
    "mistral-7b": shape("mistral", "4096 14336 32 32 8 32768"),
    "ministral-8b": shape("mistral", "4096 12288 36 32 8 131072", **HEAD_128),
    "mistral-nemo": shape("mistral", "5120 14336 40 32 8 131072", **HEAD_128),
    "mistral-small-24b": shape("mistral", "5120 32768 40 32 8 131072", **HEAD_128),
    "granite-3.1-8b": shape("granite", "4096 12800 40 32 8 49155", **TIED),
    "phi-3.5-mini": shape("phi3", "3072 8192 32 32 32 32064"),
    "phi-4": shape("phi3", "5120 17920 40 40 10 100352"),
    "qwen2.5-0.5b": shape("qwen2", "896 4864 24 14 2 151936", **TIED),
    "qwen2.5-1.5b": shape("qwen2", "1536 8960 28 12 2 151936", **TIED),
    "qwen2.5-3b": shape("qwen2", "2048 11008 36 16 2 151936", **TIED),
    "qwen2.5-7b": shape("qwen2", "3584 18944 28 28 4 152064"),
    "qwen2.5-14b": shape("qwen2", "5120 13824 48 40 8 152064"),
    "qwen2.5-32b": shape("qwen2", "5120 27648 64 40 8 152064"),
    "qwen2.5-72b": shape("qwen2", "8192 29568 80 64 8 152064"),
    "qwen2-vl-2b": shape("qwen2", "1536 8960 28 12 2 151936", **TIED),
    "qwen3-0.6b": shape("qwen3", "1024 3072 28 16 8 151936", **TIED, **HEAD_128),
    "qwen3-1.7b": shape("qwen3", "2048 6144 28 16 8 151936", **TIED, **HEAD_128),
    "qwen3-4b": shape("qwen3", "2560 9728 36 32 8 151936", **TIED, **HEAD_128),
    "qwen3-8b": shape("qwen3", "4096 12288 36 32 8 151936", **HEAD_128),
    "qwen3-14b": shape("qwen3", "5120 17408 40 40 8 151936", **HEAD_128),
    "qwen3-32b": shape("qwen3", "5120 25600 64 64 8 151936", **HEAD_128),
    "qwen3-30b-a3b": shape(
        "qwen3_moe", "2048 6144 48 32 4 151936", **QWEN3_MOE, moe_intermediate_size=768
    ),
    "qwen3-235b-a22b": shape(
        "qwen3_moe", "4096 12288 94 64 4 151936", **QWEN3_MOE, moe_intermediate_size=1536
    ),
    "mixtral-8x7b": shape(
        "mixtral", "4096 14336 32 32 8 32000", num_local_experts=8, num_experts_per_tok=2
    ),
    "mixtral-8x22b": shape(
        "mixtral", "6144 16384 56 48 8 32768", num_local_experts=8, num_experts_per_tok=2
    ),
    "gemma-2-9b": shape(
        "gemma2", "3584 14336 42 16 8 256000", **TIED, head_dim=256, sliding_window=4096
    ),
    "gemma-2-27b": shape(
        "gemma2", "4608 36864 46 32 16 256000", **TIED, **HEAD_128, sliding_window=4096
    ),
    "gemma-3-1b": shape(
        "gemma3_text", "1152 6912 26 4 1 262144", **TIED, head_dim=256, sliding_window=512
    ),
    "gemma-3-4b": _gemma3("2560 10240 34 8 4 262208", head_dim=256),
    "gemma-3-12b": _gemma3("3840 15360 48 16 8 262208", head_dim=256),
    "gemma-3-27b": _gemma3("5376 21504 62 32 16 262208", **HEAD_128),
    "gpt-oss-20b": shape(
        "gpt_oss",
        "2880 2880 24 64 8 201088",
        **HEAD_64,
        num_local_experts=32,
        num_experts_per_tok=4,
        sliding_window=128,
    ),
    "gpt-oss-120b": shape(
        "gpt_oss",
        "2880 2880 36 64 8 201088",
        **HEAD_64,
        num_local_experts=128,
        num_experts_per_tok=4,
        sliding_window=128,
    ),
    "deepseek-coder-v2-lite": shape(
        "deepseek_v2",
        "2048 10944 27 16 16 102400",
        **LATENT,
        n_routed_experts=64,
        n_shared_experts=2,
        num_experts_per_tok=6,
        moe_intermediate_size=1408,
        first_k_dense_replace=1,
    ),
    "deepseek-v3": shape("deepseek_v3", "7168 18432 61 128 128 129280", **DEEPSEEK_V3),
    "kimi-k2.5": shape(
        "deepseek_v3",
        "7168 18432 61 64 64 163840",
        **{**DEEPSEEK_V3, "n_routed_experts": 384, "first_k_dense_replace": 1},
    ),
}
POSITIONS = {
    1024: "demo",
    2048: "gpt-175b gpt-530b gpt-1t",
    4096: "llama-2-7b llama-2-13b llama-2-70b yi-1.5-9b",
    8192: "llama-3-8b llama-3-70b smollm2-135m gemma-2-9b gemma-2-27b",
    16_384: "codellama-7b phi-4",
    32_768: "mistral-7b mixtral-8x7b mistral-small-24b gemma-3-1b",
    40_960: "qwen3-0.6b qwen3-1.7b qwen3-4b qwen3-8b qwen3-14b qwen3-32b qwen3-30b-a3b",
    65_536: "mixtral-8x22b",
    131_072: (
        "glm-4.5 glm-4.5-air phi-4-mini llama-3.2-11b-vision llama-3.2-90b-vision "
        "llama-3.1-8b llama-3.1-70b llama-3.1-405b llama-3.2-1b llama-3.2-3b llama-3.3-70b "
        "granite-3.1-8b phi-3.5-mini gemma-3-4b gemma-3-12b gemma-3-27b gpt-oss-20b gpt-oss-120b"
    ),
    163_840: "deepseek-coder-v2-lite deepseek-v3 deepseek-v3.2",
    202_752: "glm-5 glm-4.7-flash",
    262_144: (
        "qwen3-next-80b-a3b qwen3.5-0.8b qwen3.5-2b qwen3.5-4b qwen3.5-9b qwen3.5-27b "
        "qwen3.5-35b-a3b qwen3.5-122b-a10b qwen3.5-397b-a17b qwen3-480b-a35b kimi-k2.5"
    ),
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
    "deepseek-r1-0528-qwen3-8b": "qwen3-8b",
    "openbuddy-llama3.3-70b": "llama-3.3-70b",
    "kimi-k2": "kimi-k2.5",
    "kimi-k2.6": "kimi-k2.5",
    "deepseek-v2.5": "deepseek-v2",
    "glm-4.6": "glm-4.5",
    "glm-4.7": "glm-4.5",
    "glm-5.1": "glm-5",
    "minimax-m2.1": "minimax-m2",
    "minimax-m2.5": "minimax-m2",
    "qwq-32b": "qwen2.5-32b",
    "qwen3-next": "qwen3-next-80b-a3b",
    "qwen3.6-27b": "qwen3.5-27b",
    "qwen3.6-35b-a3b": "qwen3.5-35b-a3b",
    "qwen3.8-27b": "qwen3.5-27b",
    "llama-4-scout-17b-16e": "llama-4-scout",
    "llama-4-maverick-17b-128e": "llama-4-maverick",
    "llama-3.1-nemotron-70b": "llama-3.1-70b",
    "llama-guard-3-8b": "llama-3.1-8b",
    "vicuna-7b": "llama-2-7b",
    "vicuna-13b": "llama-2-13b",
    "llama-33b": "llama-30b",
    "bloom": "bloom-176b",
    "bloomz": "bloom-176b",
    "bloomz-7b1": "bloom-7b1",
    "gpt-j": "gpt-j-6b",
    "gptj-6b": "gpt-j-6b",
    "gpt-neox": "gpt-neox-20b",
    "starcoderbase": "starcoder",
    "tinyllama": "tinyllama-1.1b",
    "mistral-7b-instruct-v0.1": "mistral-7b-v0.1",
    "mistral-7b-instruct-v0.2": "mistral-7b-v0.2",
    "zephyr-7b-beta": "mistral-7b-v0.1",
    "mistral-small-3.2-24b": "mistral-small-3.1-24b",
    "magistral-small": "mistral-small-24b",
    "devstral-small": "mistral-small-24b",
    "phi-3.5-moe-instruct": "phi-3.5-moe",
    "phi-3-mini-4k": "phi-3-mini",
    "phi-3-medium-4k": "phi-3-medium",
    "phi-3-medium-128k": "phi-3-medium",
    "yi-1.5-6b": "yi-6b",
    "yi-1.5-34b": "yi-34b",
    "internlm2.5-7b": "internlm2-7b",
    "c4ai-command-r-v01": "command-r-35b",
    "command-r": "command-r-35b",
    "c4ai-command-r-plus": "command-r-plus",
    "mistral-large": "mistral-large-2",
    "qwen2-0.5b": "qwen2.5-0.5b",
    "qwen2-1.5b": "qwen2.5-1.5b",
    "qwen2-7b": "qwen2.5-7b",
    "qwen2-72b": "qwen2.5-72b",
    "codegemma-7b": "gemma-7b",
    "codegemma-2b": "gemma-2b",
    "medgemma-4b": "gemma-3-4b",
    "medgemma-27b": "gemma-3-27b",
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
        raise unknown_name("model", name, CONFIGS, listed_by="llmops plan models")
    config = CONFIGS[plain]
    positions = _POSITIONS.get(plain)
    if positions is None or _is_of_another(name):
        return config
    text = config.get("text_config")
    if text is not None:
        return {**config, "text_config": {**text, "max_position_embeddings": positions}}
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
