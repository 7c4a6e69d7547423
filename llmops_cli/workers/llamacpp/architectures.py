"""The architectures that have a place in GGUF, and a model's own configuration.

Facts follow llama.cpp's own converter (conversion/*.py of llama.cpp).
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

import gguf

from _shared.protocol import JobError

# config.json as it is; each reader knows its own fields.
ModelFields = dict[str, Any]


class Architecture(NamedTuple):
    """How one of config.json's architectures becomes GGUF."""

    gguf: gguf.MODEL_ARCH
    interleaves_rotary: bool = False
    """The two rotary halves of a head are woven into one another."""
    norms_store_less_one: bool = False


LLAMA = Architecture(gguf.MODEL_ARCH.LLAMA, interleaves_rotary=True)
GEMMA3 = Architecture(gguf.MODEL_ARCH.GEMMA3, norms_store_less_one=True)
ARCHITECTURES = {
    "LlamaForCausalLM": LLAMA,
    "MistralForCausalLM": LLAMA,
    "Qwen2ForCausalLM": Architecture(gguf.MODEL_ARCH.QWEN2),
    "Qwen3ForCausalLM": Architecture(gguf.MODEL_ARCH.QWEN3),
    "Phi3ForCausalLM": Architecture(gguf.MODEL_ARCH.PHI3),
    "Gemma2ForCausalLM": Architecture(gguf.MODEL_ARCH.GEMMA2, norms_store_less_one=True),
    "Gemma3ForCausalLM": GEMMA3,
    "Gemma3ForConditionalGeneration": GEMMA3,
}
GEMMA = (gguf.MODEL_ARCH.GEMMA2, gguf.MODEL_ARCH.GEMMA3)


def read_config(folder: Path) -> tuple[ModelFields, str]:
    """config.json (its text part for multimodal models) and its architecture.

    Raises: JobError for a model that cannot be converted.
    """
    config = _read_json(folder / "config.json")
    named = config.get("architectures") or ["(none)"]
    architecture = named[0]
    if architecture not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise JobError(
            "UsageError",
            f"architecture '{architecture}' has no GGUF converter here; known: {known}",
            "convert with llama.cpp's convert_hf_to_gguf.py, then pass the .gguf file as MODEL",
        )
    if config.get("quantization_config"):
        raise JobError("UsageError", f"{folder} is already quantized", "pass the original model")
    text_config = config.get("text_config", {})
    return {**config, **text_config}, architecture


def _read_json(path: Path) -> ModelFields:
    try:
        return dict(json.loads(path.read_text()))
    except FileNotFoundError:
        message = f"{path.parent} has no {path.name}"
        raise JobError("UsageError", message, "pass a Hugging Face model folder") from None
    except ValueError:
        raise JobError("UsageError", f"{path} is not JSON", "download it again") from None


def head_dim_of(config: ModelFields) -> int:
    """Values of one attention head."""
    given = config.get("head_dim")
    if given:
        return int(given)
    return int(config["hidden_size"] // config["num_attention_heads"])


def kv_heads_of(config: ModelFields) -> int:
    heads = config.get("num_key_value_heads") or config["num_attention_heads"]
    return int(heads)
