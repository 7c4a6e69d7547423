"""The architectures that have a place in GGUF, and a model's own configuration.

Facts follow llama.cpp's own converter (conversion/*.py of llama.cpp).
"""

import json
from pathlib import Path
from typing import NamedTuple

import gguf

from _shared.protocol import JobError
from llamacpp.defaults import ModelFields, complete
from llamacpp.fields import TEXTS, check_fields, check_heads, refusal


class Architecture(NamedTuple):
    """How one of config.json's architectures becomes GGUF."""

    gguf: gguf.MODEL_ARCH
    model_type: str
    interleaves_rotary: bool = False
    """The two rotary halves of a head are woven into one another."""
    norms_store_less_one: bool = False

    @property
    def name(self) -> str:
        """As llama.cpp calls it."""
        return gguf.MODEL_ARCH_NAMES[self.gguf]


ARCHITECTURES = {
    "LlamaForCausalLM": Architecture(gguf.MODEL_ARCH.LLAMA, "llama", interleaves_rotary=True),
    "MistralForCausalLM": Architecture(gguf.MODEL_ARCH.LLAMA, "mistral", interleaves_rotary=True),
    "Qwen2ForCausalLM": Architecture(gguf.MODEL_ARCH.QWEN2, "qwen2"),
    "Qwen3ForCausalLM": Architecture(gguf.MODEL_ARCH.QWEN3, "qwen3"),
    "Phi3ForCausalLM": Architecture(gguf.MODEL_ARCH.PHI3, "phi3"),
    "Gemma2ForCausalLM": Architecture(gguf.MODEL_ARCH.GEMMA2, "gemma2", norms_store_less_one=True),
    "Gemma3ForCausalLM": Architecture(
        gguf.MODEL_ARCH.GEMMA3, "gemma3_text", norms_store_less_one=True
    ),
    "Gemma3ForConditionalGeneration": Architecture(
        gguf.MODEL_ARCH.GEMMA3, "gemma3", norms_store_less_one=True
    ),
}
GEMMA = (gguf.MODEL_ARCH.GEMMA2, gguf.MODEL_ARCH.GEMMA3)


def read_config(folder: Path) -> tuple[ModelFields, str]:
    """config.json (its text part for multimodal models) and its architecture.

    Fields that it leaves out are Transformers' own defaults.
    Raises: JobError for a model that cannot be converted.
    """
    config = _read_json(folder / "config.json")
    architecture = _architecture_of(config)
    if config.get("quantization_config"):
        raise JobError("UsageError", f"{folder} is already quantized", "pass the original model")
    given = {**config, **_text_part(config)}
    check_fields(given, architecture)
    fields = complete(given, architecture)
    check_heads(fields)
    return fields, architecture


def _text_part(config: ModelFields) -> ModelFields:
    found = config.get("text_config") or {}
    if not isinstance(found, dict):
        message = f"config.json: text_config is {found!r:.60}, not an object"
        raise JobError("UsageError", message, "correct config.json, or download it again")
    return found


def _architecture_of(config: ModelFields) -> str:
    """What Transformers would load: it goes by the model type first.

    Raises: JobError for what is not known here, or is two things at once.
    """
    named = config.get("architectures") or []
    if not TEXTS.holds(named):
        raise refusal("architectures", named, TEXTS)
    model_type = config.get("model_type")
    architecture = named[0] if named else _class_of(model_type)
    if architecture not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise JobError(
            "UsageError",
            f"architecture '{architecture}' has no GGUF converter here; known: {known}",
            "convert with llama.cpp's convert_hf_to_gguf.py, then pass the .gguf file as MODEL",
        )
    expected = ARCHITECTURES[architecture].model_type
    if model_type not in (None, expected):
        raise JobError(
            "UsageError",
            f"config.json says model_type '{model_type}' and architecture '{architecture}', "
            "and Transformers goes by the first",
            f"'{expected}' is the type of {architecture}: correct config.json",
        )
    return str(architecture)


def _class_of(model_type: object) -> str:
    for name, architecture in ARCHITECTURES.items():
        if architecture.model_type == model_type:
            return name
    return "(none)"


def _read_json(path: Path) -> ModelFields:
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError:
        message = f"{path.parent} has no {path.name}"
        raise JobError("UsageError", message, "pass a Hugging Face model folder") from None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise JobError("UsageError", f"{path} is not JSON", "download it again")
    return found
