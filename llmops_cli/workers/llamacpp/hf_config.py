"""A GGUF file's sizes as config.json. Refuses what it would have to guess."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from _shared.protocol import JobError
from llamacpp.gguf_file import GgufFile
from llamacpp.gguf_tokens import number_of, tokens_of

CLASSES = {
    "llama": ("LlamaForCausalLM", "llama"),
    "qwen2": ("Qwen2ForCausalLM", "qwen2"),
    "qwen3": ("Qwen3ForCausalLM", "qwen3"),
}
"""GGUF's architecture -> Transformers' class and model type."""
HAS_BIASES = ("qwen2",)
FREQUENCIES = "rope_freqs.weight"
LOW_TURNS = 1.0
HIGH_TURNS = 4.0
"""Llama 3's, of every size and version."""
ORIGINAL_CONTEXTS = tuple(1 << power for power in range(6, 21))

ROLES = {"bos": "bos", "eos": "eos", "pad": "padding"}
"""Of a token: Transformers' word -> GGUF's."""
UNSCALED = "none"
LINEAR = "linear"
"""The scaling of a file that does not tell which, as llama.cpp has it."""
OLD_FACTOR = "rope.scale_linear"

Doubles = npt.NDArray[np.float64]

# config.json; each architecture has fields of its own.
Json = dict[str, Any]


def config_of(file: GgufFile) -> Json:
    """Raises: JobError for an architecture, or a rope scaling, without a way back."""
    _check(file)
    name, model_type = CLASSES[file.architecture]
    tokens = tokens_of(file)
    heads = file.whole("attention.head_count")
    hidden_size = file.whole("embedding_length")
    head_dim = file.whole("attention.key_length", hidden_size // heads)
    config: Json = {
        "architectures": [name],
        "model_type": model_type,
        "vocab_size": len(tokens),
        "hidden_size": hidden_size,
        "intermediate_size": file.whole("feed_forward_length"),
        "num_hidden_layers": file.layers(),
        "num_attention_heads": heads,
        "num_key_value_heads": file.whole("attention.head_count_kv", heads),
        "head_dim": head_dim,
        "max_position_embeddings": file.whole("context_length"),
        "rms_norm_eps": file.needed("attention.layer_norm_rms_epsilon"),
        "rope_parameters": _rope_of(file),
        "hidden_act": "silu",
        "tie_word_embeddings": "output.weight" not in file.tensors,
        "attention_bias": file.architecture in HAS_BIASES or _has_attention_bias(file),
        "mlp_bias": "blk.0.ffn_down.bias" in file.tensors,
        "torch_dtype": "float16",
        "use_cache": True,
    }
    for part, role in ROLES.items():
        config[f"{part}_token_id"] = number_of(file, role, tokens)
    return config


def _check(file: GgufFile) -> None:
    if file.architecture not in CLASSES:
        known = ", ".join(CLASSES)
        raise JobError(
            "UsageError",
            f"no Hugging Face folder is made of a GGUF file of '{file.architecture}'",
            f"known: {known}; download the original folder",
        )
    if file.size("expert_count"):
        message = f"{file.path}: experts have no way back here"
        raise JobError("UsageError", message, "download the original folder")


def _has_attention_bias(file: GgufFile) -> bool:
    """Raises: JobError if some of its projections have one and others have none."""
    has_bias = {f"blk.0.attn_{name}.bias" in file.tensors for name in ("q", "k", "v", "output")}
    if len(has_bias) > 1 and file.architecture not in HAS_BIASES:
        message = f"{file.path}: biases of some projections only have no way back here"
        raise JobError("UsageError", message, "download the original folder")
    return True in has_bias


def _rope_of(file: GgufFile) -> Json:
    theta = file.size("rope.freq_base", 10000.0)
    kind = file.size("rope.scaling.type", LINEAR)
    factor = file.size("rope.scaling.factor", file.size(OLD_FACTOR)) or 1.0
    is_scaled = kind != UNSCALED and (kind, factor) != (LINEAR, 1.0)
    has_table = FREQUENCIES in file.tensors
    if is_scaled and (has_table or kind != LINEAR):
        raise _no_way_back(file, kind)
    if has_table:
        return {**_llama3_of(file, theta), "rope_theta": theta}
    if is_scaled:
        return {"rope_type": LINEAR, "factor": factor, "rope_theta": theta}
    return {"rope_type": "default", "rope_theta": theta}


def _llama3_of(file: GgufFile, theta: float) -> Json:
    """The parameters whose factors are those of the file.

    Raises: JobError for factors that Llama 3's rule does not give.
    """
    found = np.asarray(file.tensors[FREQUENCIES].data, np.float64)
    for original in ORIGINAL_CONTEXTS:
        rope = {
            "rope_type": "llama3",
            "factor": float(found.max()),
            "low_freq_factor": LOW_TURNS,
            "high_freq_factor": HIGH_TURNS,
            "original_max_position_embeddings": original,
        }
        factors = llama3_factors(len(found), theta, found.max(), original)
        if np.allclose(factors, found, rtol=1e-5):
            return rope
    raise _no_way_back(file, "by a table of factors")


def llama3_factors(count: int, theta: float, factor: float, original: int) -> Doubles:
    """What each frequency is divided by: 1 for those that turn often within `original` tokens.

    Source: transformers, modeling_rope_utils.py, _compute_llama3_parameters.
    """
    frequencies = theta ** (-np.arange(count) / count)
    turns = original * frequencies / (2 * math.pi)
    smooth = np.clip((turns - LOW_TURNS) / (HIGH_TURNS - LOW_TURNS), 0.0, 1.0)
    return np.asarray(1 / ((1 - smooth) / factor + smooth), np.float64)


def _no_way_back(file: GgufFile, kind: str) -> JobError:
    message = f"{file.path}: its rope scaling ({kind}) has no way back here"
    return JobError("UsageError", message, "download the original folder")
