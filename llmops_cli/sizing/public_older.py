"""Shapes of well-known dense models of 2019 to 2024, each as its config.json on the hub has it."""

from __future__ import annotations

from typing import Any

from llmops_cli.sizing.public_shapes import HEAD_128, TIED, Config, shape

BIASED = {"attention_bias": True}


def _gpt2(hidden: int, layers: int, heads: int) -> dict[str, Any]:  # Any: a config's values
    return {
        "model_type": "gpt2",
        "n_embd": hidden,
        "n_layer": layers,
        "n_head": heads,
        "n_positions": 1024,
        "vocab_size": 50257,
    }


def _opt(hidden: int, layers: int, heads: int) -> dict[str, Any]:  # Any: a config's values
    return {
        "model_type": "opt",
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "ffn_dim": 4 * hidden,
        "vocab_size": 50272,
        "max_position_embeddings": 2048,
    }


def _bloom(hidden: int, layers: int, heads: int) -> dict[str, Any]:  # Any: a config's values
    return {
        "model_type": "bloom",
        "hidden_size": hidden,
        "n_layer": layers,
        "n_head": heads,
        "vocab_size": 250880,
    }


def _neox(sizes: str) -> dict[str, Any]:  # Any: a config's values
    return shape("gpt_neox", sizes, max_position_embeddings=2048)


def _mpt(hidden: int, layers: int, heads: int) -> dict[str, Any]:  # Any: a config's values
    return {
        "model_type": "mpt",
        "d_model": hidden,
        "n_layers": layers,
        "n_heads": heads,
        "vocab_size": 50432,
    }


def _falcon(
    hidden: int,
    layers: int,
    heads: int,
    **more: Any,  # Any: a config's values
) -> dict[str, Any]:
    return {
        "model_type": "falcon",
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "vocab_size": 65024,
        **more,
    }


def _falcon_new(hidden: int, layers: int, heads: int) -> dict[str, Any]:  # Any: a config's values
    return _falcon(hidden, layers, heads, new_decoder_architecture=True, num_kv_heads=8)


OLDER: dict[str, Config] = {
    "gpt2": _gpt2(768, 12, 12),
    "gpt2-medium": _gpt2(1024, 24, 16),
    "gpt2-large": _gpt2(1280, 36, 20),
    "gpt2-xl": _gpt2(1600, 48, 25),
    "gpt-j-6b": {
        "model_type": "gptj",
        "n_embd": 4096,
        "n_layer": 28,
        "n_head": 16,
        "n_positions": 2048,
        "vocab_size": 50400,
        "tie_word_embeddings": False,
    },
    "gpt-neox-20b": _neox("6144 24576 44 64 64 50432"),
    "pythia-160m": _neox("768 3072 12 12 12 50304"),
    "pythia-410m": _neox("1024 4096 24 16 16 50304"),
    "pythia-1b": _neox("2048 8192 16 8 8 50304"),
    "pythia-1.4b": _neox("2048 8192 24 16 16 50304"),
    "pythia-2.8b": _neox("2560 10240 32 32 32 50304"),
    "pythia-6.9b": _neox("4096 16384 32 32 32 50432"),
    "pythia-12b": _neox("5120 20480 36 40 40 50688"),
    "opt-125m": _opt(768, 12, 12),
    "opt-1.3b": _opt(2048, 24, 32),
    "opt-2.7b": _opt(2560, 32, 32),
    "opt-6.7b": _opt(4096, 32, 32),
    "opt-13b": _opt(5120, 40, 40),
    "opt-30b": _opt(7168, 48, 56),
    "opt-66b": _opt(9216, 64, 72),
    "opt-175b": _opt(12288, 96, 96),
    "bloom-560m": _bloom(1024, 24, 16),
    "bloom-1b7": _bloom(2048, 24, 16),
    "bloom-3b": _bloom(2560, 30, 32),
    "bloom-7b1": _bloom(4096, 30, 32),
    "bloom-176b": _bloom(14336, 70, 112),
    "mpt-7b": _mpt(4096, 32, 32),
    "mpt-30b": _mpt(7168, 48, 64),
    "falcon-7b": _falcon(4544, 32, 71),
    "falcon-40b": _falcon_new(8192, 60, 128),
    "falcon-180b": _falcon_new(14848, 80, 232),
    "starcoder": {
        "model_type": "gpt_bigcode",
        "n_embd": 6144,
        "n_layer": 40,
        "n_head": 48,
        "n_inner": 24576,
        "n_positions": 8192,
        "vocab_size": 49152,
    },
    "starcoder2-3b": shape("starcoder2", "3072 12288 30 24 2 49152", **TIED, sliding_window=4096),
    "starcoder2-7b": shape("starcoder2", "4608 18432 32 36 4 49152", **TIED, sliding_window=4096),
    "llama-30b": shape("llama", "6656 17920 60 52 52 32000"),
    "llama-65b": shape("llama", "8192 22016 80 64 64 32000"),
    "tinyllama-1.1b": shape("llama", "2048 5632 22 32 4 32000"),
    "codellama-13b": shape("llama", "5120 13824 40 40 40 32016"),
    "codellama-34b": shape("llama", "8192 22016 48 64 8 32000"),
    "codellama-70b": shape("llama", "8192 28672 80 64 8 32016"),
    "deepseek-coder-1.3b": shape("llama", "2048 5504 24 16 16 32256"),
    "deepseek-coder-6.7b": shape("llama", "4096 11008 32 32 32 32256"),
    "deepseek-coder-33b": shape("llama", "7168 19200 62 56 8 32256"),
    "deepseek-llm-7b": shape("llama", "4096 11008 30 32 32 102400"),
    "deepseek-llm-67b": shape("llama", "8192 22016 95 64 8 102400"),
    "yi-6b": shape("llama", "4096 11008 32 32 4 64000"),
    "yi-34b": shape("llama", "7168 20480 60 56 8 64000"),
    "solar-10.7b": shape("llama", "4096 14336 48 32 8 32000"),
    "baichuan2-7b": shape("baichuan", "4096 11008 32 32 32 125696"),
    "baichuan2-13b": shape("baichuan", "5120 13696 40 40 40 125696"),
    "internlm2-7b": shape("internlm2", "4096 14336 32 32 8 92544"),
    "internlm2-20b": shape("internlm2", "6144 16384 48 48 8 92544"),
    "minicpm-2b": shape("minicpm", "2304 5760 40 36 36 122753", **TIED),
    "mistral-7b-v0.1": shape("mistral", "4096 14336 32 32 8 32000", sliding_window=4096),
    "mistral-7b-v0.2": shape("mistral", "4096 14336 32 32 8 32000"),
    "codestral-22b": shape("mistral", "6144 16384 56 48 8 32768"),
    "mistral-small-22b": shape("mistral", "6144 16384 56 48 8 32768"),
    "mistral-large-2": shape("mistral", "12288 28672 88 96 8 32768", **HEAD_128),
    "phi-1.5": shape("phi", "2048 8192 24 32 32 51200"),
    "phi-2": shape("phi", "2560 10240 32 32 32 51200"),
    "phi-3-mini": shape("phi3", "3072 8192 32 32 32 32064", sliding_window=2047),
    "phi-3-medium": shape("phi3", "5120 17920 40 40 10 32064"),
    "gemma-2b": shape("gemma", "2048 16384 18 8 1 256000", **TIED, head_dim=256),
    "gemma-7b": shape("gemma", "3072 24576 28 16 16 256000", **TIED, head_dim=256),
    "gemma-2-2b": shape(
        "gemma2", "2304 9216 26 8 4 256000", **TIED, head_dim=256, sliding_window=4096
    ),
    "qwen1.5-0.5b": shape("qwen2", "1024 2816 24 16 16 151936", **TIED),
    "qwen1.5-1.8b": shape("qwen2", "2048 5504 24 16 16 151936"),
    "qwen1.5-4b": shape("qwen2", "2560 6912 40 20 20 151936"),
    "qwen1.5-7b": shape("qwen2", "4096 11008 32 32 32 151936"),
    "qwen1.5-14b": shape("qwen2", "5120 13696 40 40 40 152064"),
    "qwen1.5-32b": shape("qwen2", "5120 27392 64 40 8 152064"),
    "qwen1.5-72b": shape("qwen2", "8192 24576 80 64 64 152064"),
    "qwen1.5-110b": shape("qwen2", "8192 49152 80 64 8 152064"),
    "stablelm-2-1.6b": shape("stablelm", "2048 5632 24 32 32 100352", use_qkv_bias=True),
    "stablelm-3b-4e1t": shape("stablelm", "2560 6912 32 32 32 50304"),
    "stablelm-2-12b": shape(
        "stablelm",
        "5120 13824 40 32 8 100352",
        use_parallel_residual=True,
        qk_layernorm=True,
    ),
    "command-r-35b": shape("cohere", "8192 22528 40 64 64 256000", **TIED),
    "command-r-plus": shape("cohere", "12288 33792 64 96 8 256000", **TIED, use_qk_norm=True),
    "command-r-08-2024": shape("cohere", "8192 24576 40 64 8 256000", **TIED),
    "aya-23-8b": shape("cohere", "4096 14336 32 32 8 256000", **TIED),
    "aya-23-35b": shape("cohere", "8192 22528 40 64 64 256000", **TIED),
    "exaone-3.5-7.8b": shape("exaone", "4096 14336 32 32 8 102400"),
    "exaone-3.5-32b": shape("exaone", "5120 27392 64 40 8 102400"),
    "glm-4-9b": shape("glm", "4096 13696 40 32 2 151552", **HEAD_128, **BIASED),
    "nemotron-mini-4b": shape("nemotron", "3072 9216 32 24 8 256000", **HEAD_128),
    "nemotron-4-340b": shape("nemotron", "18432 73728 96 96 8 256000"),
}
