"""A GGUF file's sizes as config.json. Refuses what it would have to guess."""

from typing import Any

from _shared.protocol import JobError
from llamacpp.gguf_file import GgufFile

CLASSES = {
    "llama": ("LlamaForCausalLM", "llama"),
    "qwen2": ("Qwen2ForCausalLM", "qwen2"),
    "qwen3": ("Qwen3ForCausalLM", "qwen3"),
}
"""GGUF's architecture -> Transformers' class and model type."""
HAS_BIASES = ("qwen2",)
FREQUENCIES = "rope_freqs.weight"

# config.json; each architecture has fields of its own.
Json = dict[str, Any]


def config_of(file: GgufFile) -> Json:
    """Raises: JobError for an architecture, or a rope scaling, without a way back."""
    _check(file)
    name, model_type = CLASSES[file.architecture]
    heads = file.needed("attention.head_count")
    hidden_size = file.needed("embedding_length")
    head_dim = file.size("attention.key_length", hidden_size // heads)
    config: Json = {
        "architectures": [name],
        "model_type": model_type,
        "vocab_size": len(file.key("tokenizer.ggml.tokens")),
        "hidden_size": hidden_size,
        "intermediate_size": file.needed("feed_forward_length"),
        "num_hidden_layers": file.needed("block_count"),
        "num_attention_heads": heads,
        "num_key_value_heads": file.size("attention.head_count_kv", heads),
        "head_dim": head_dim,
        "max_position_embeddings": file.needed("context_length"),
        "rms_norm_eps": file.needed("attention.layer_norm_rms_epsilon"),
        "rope_parameters": _rope_of(file),
        "hidden_act": "silu",
        "tie_word_embeddings": "output.weight" not in file.tensors,
        "attention_bias": file.architecture in HAS_BIASES,
        "mlp_bias": False,
        "torch_dtype": "float16",
        "use_cache": True,
    }
    for part in ("bos", "eos", "pad"):
        names = {"pad": "padding"}
        config[f"{part}_token_id"] = file.key(f"tokenizer.ggml.{names.get(part, part)}_token_id")
    return config


def _check(file: GgufFile) -> None:
    if file.architecture not in CLASSES:
        known = ", ".join(CLASSES)
        raise JobError(
            "UsageError",
            f"no Hugging Face folder is made of a GGUF file of '{file.architecture}'",
            f"known: {known}; download the original folder",
        )
    if isinstance(file.needed("attention.head_count"), list) or file.size("expert_count"):
        message = f"{file.path}: experts, or heads that differ by layer, have no way back here"
        raise JobError("UsageError", message, "download the original folder")


def _rope_of(file: GgufFile) -> Json:
    theta = file.size("rope.freq_base", 10000.0)
    kind = file.size("rope.scaling.type", "none")
    if FREQUENCIES in file.tensors or kind not in ("none", "linear"):
        message = f"{file.path}: its rope scaling ({kind}) has no way back here"
        raise JobError("UsageError", message, "download the original folder")
    if kind == "linear":
        factor = file.size("rope.scaling.factor", 1.0)
        return {"rope_type": "linear", "factor": factor, "rope_theta": theta}
    return {"rope_type": "default", "rope_theta": theta}
