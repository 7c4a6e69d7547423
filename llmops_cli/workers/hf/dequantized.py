"""Models whose makers publish them in few bits only: read as plain weights, knowingly.

FP8 in blocks (DeepSeek) and MXFP4 (gpt-oss) are what Transformers can dequantize by itself.
"""

from pathlib import Path
from typing import Any

import torch

from _shared.protocol import JobError

BLOCKS = "_blocks"
SCALES = "_scales"
FP8_SCALE = ".weight_scale_inv"
MXFP4_VALUES_IN_BYTE = 2


def method_of(config: Any) -> str | None:
    """How the model's weights are quantized; None if they are not."""
    found = getattr(config, "quantization_config", None)
    if found is None:
        return None
    if isinstance(found, dict):
        return str(found.get("quant_method"))
    method = found.quant_method
    return str(getattr(method, "value", method))


def dequantizing(config: Any) -> dict[str, Any]:
    """Arguments of `from_pretrained` with which the weights come plain."""
    method = method_of(config)
    if method is None:
        return {}
    # release 4 has neither, and is given plain weights only
    from transformers.utils.quantization_config import FineGrainedFP8Config, Mxfp4Config

    make: Any = {"fp8": FineGrainedFP8Config, "mxfp4": Mxfp4Config}.get(method)
    if make is None:
        raise JobError(
            "UsageError", f"the model is already quantized ({method})", "pass the original model"
        )
    return {"quantization_config": make(dequantize=True)}


def without_quantization(config: Any) -> None:
    """Forgets how the weights were kept: they are plain now."""
    if hasattr(config, "quantization_config"):
        del config.quantization_config


def as_plain(model: Any, folder: Path) -> None:
    """A dequantized model as one that never was anything else, so that it can be quantized.

    Its config is written to `folder`, where libraries look for it again.
    """
    without_quantization(model.config)
    for name in ("hf_quantizer", "is_quantized", "quantization_method"):
        if hasattr(model, name):
            delattr(model, name)
    model.config.save_pretrained(folder)
    model.config.name_or_path = str(folder)


def plain_shapes(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors as they will be when dequantized; none of them has values.

    Shapes: MXFP4 blocks (experts, rows, groups, bytes) become (experts, columns, rows).
    """
    found = {}
    for name, tensor in tensors.items():
        stem = name.removesuffix(BLOCKS)
        is_packed = name.endswith(BLOCKS) and f"{stem}{SCALES}" in tensors
        is_scale = name.endswith(SCALES) and f"{name.removesuffix(SCALES)}{BLOCKS}" in tensors
        if is_packed:
            experts, rows, groups, size_bytes = tensor.shape
            columns = groups * size_bytes * MXFP4_VALUES_IN_BYTE
            found[stem] = torch.empty((experts, columns, rows), device="meta")
        elif not is_scale and not name.endswith(FP8_SCALE):
            found[name] = tensor
    return found
