"""Experts for llm-compressor: which schemes Transformers reads back into its fused tensors.

llm-compressor makes each expert a layer of its own. Transformers merges them while it loads, by the
names that the architecture has on disk, and only what is packed without zero points, or FP8.
"""

import re
from dataclasses import dataclass
from typing import Any

from _shared.protocol import JobError, Json

EXPERT_LAYERS = r"re:.*[.]experts[.]\d+[.].*"
"""Names of layers in experts that are one layer each."""
SOURCE = re.compile(r"experts\.\*\.(\w+)\.weight\$?$")
FUSED = {
    "gate_up_proj": ("gate_proj", "up_proj"),
    "up_proj": ("up_proj",),
    "down_proj": ("down_proj",),
}
"""A fused tensor, and how llm-compressor calls the layers that it makes of it."""


@dataclass(frozen=True)
class ExpertNames:
    """llm-compressor's name of each projection -> its name on disk."""

    on_disk: dict[str, str]


def expert_names(model: Any) -> ExpertNames:
    """Raises: JobError for an architecture whose experts Transformers does not merge itself."""
    from transformers.conversion_mapping import get_model_conversion_mapping
    from transformers.core_model_loading import WeightConverter

    found: dict[str, str] = {}
    for conversion in get_model_conversion_mapping(model):
        if not isinstance(conversion, WeightConverter):
            continue
        sources = [SOURCE.search(pattern) for pattern in conversion.source_patterns]
        (target,) = conversion.target_patterns[:1]
        made = FUSED.get(target.rpartition(".")[2])
        if made and len(made) == len(sources) and all(sources):
            names = [match[1] for match in sources if match]
            found |= dict(zip(made, names, strict=True))
    if "down_proj" not in found:
        raise JobError(
            "UsageError",
            f"Transformers cannot load quantized experts of {type(model).__name__}: it has no "
            "way to merge them",
            "--method gguf",
        )
    return ExpertNames(found)


def expert_group(job: Json) -> Any:
    """How experts are kept: their weights alone, by rows or groups, without zero points."""
    from compressed_tensors.quantization import (
        QuantizationArgs,
        QuantizationScheme,
        preset_name_to_scheme,
    )

    if job["scheme"].startswith("FP8"):
        return preset_name_to_scheme("FP8_DYNAMIC", [EXPERT_LAYERS])
    if not job["scheme"].startswith("W"):
        message = f"Transformers loads no {job['scheme']} experts"
        raise JobError("UsageError", message, "--method int4, gptq, int8 or fp8")
    group = job["group_size"]
    is_grouped = group > 0
    weights = QuantizationArgs(
        num_bits=job["bits"],
        type="int",
        symmetric=True,
        dynamic=False,
        strategy="group" if is_grouped else "channel",
        group_size=group if is_grouped else None,
    )
    return QuantizationScheme(targets=[EXPERT_LAYERS], weights=weights)


def kept_otherwise(job: Json) -> str | None:
    """What is to be said of experts; None if they are kept as everything else."""
    scheme = job["scheme"]
    if scheme in ("FP8", "FP8_BLOCK"):
        return "experts are FP8_DYNAMIC: Transformers merges no others"
    if scheme.endswith("_ASYM"):
        return f"experts are W{job['bits']}A16 without zero points: Transformers merges no others"
    if scheme == "W8A8":
        return "experts are W8A16: Transformers merges no others"
    return None


def name_as_on_disk(model: Any, names: ExpertNames) -> None:
    """Renames the layers of experts, so that they are saved as the architecture's are."""
    for name, module in model.named_modules():
        if not re.search(r"\.experts\.\d+$", name):
            continue
        layers = module._modules  # noqa: SLF001 - torch has no way to rename a module
        for made, on_disk in names.on_disk.items():
            if made in layers and on_disk != made:
                layers[on_disk] = layers.pop(made)
