"""Whether a model folder holds weights in few bits already, or an adapter, by any sign of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.core.wrong_json import UNREADABLE
from llmops_cli.models.config import read_config
from llmops_cli.models.tensors import TensorInfo, tensors_of

ADAPTER = "adapter_config.json"
IN_CONFIG = ("quantization_config", "compression_config")
PARTS = ("text_config", "llm_config", "language_config")
"""Where a multi-modal model's config may keep that of its text part."""
SIDE_FILES = {
    "quantize_config.json": "gptq",
    "quant_config.json": "awq",
    "hf_quant_config.json": "modelopt",
}
"""What libraries write beside config.json -> which they are."""
TENSOR_ENDS = {
    ".qweight": "gptq or awq",
    ".weight_packed": "compressed-tensors",
    "_blocks": "mxfp4",
    ".weight_scale_inv": "fp8",
    ".weight_scale": "compressed-tensors",
    ".weight.absmax": "bitsandbytes",
    ".SCB": "bitsandbytes",
}
FEW_BITS = ("F8_", "F4")
"""Beginnings of safetensors' types that no unquantized model has."""
DEQUANTIZED = frozenset({"fp8", "mxfp4"})
"""What Transformers makes plain weights of itself: some models are published in no other form."""


class AlreadyQuantized(msgspec.Struct, frozen=True, kw_only=True):
    """`method` as its library calls it; `sign` is where that was seen."""

    method: str
    sign: str

    @property
    def is_readable(self) -> bool:
        """Whether it can be read as plain weights."""
        return self.method in DEQUANTIZED


def quantization_of(folder: Path) -> AlreadyQuantized | None:
    """None for plain weights."""
    config = read_config(folder)
    for told in (config, *(config.get(part) for part in PARTS)):
        found = _in_config(told)
        if found is not None:
            return found
    for name, method in SIDE_FILES.items():
        if (folder / name).is_file():
            return AlreadyQuantized(method=method, sign=name)
    return _in_tensors(tensors_of(folder))


def _in_config(config: Any) -> AlreadyQuantized | None:  # Any: whatever JSON holds
    if not isinstance(config, dict):
        return None
    for field in IN_CONFIG:
        told = config.get(field)
        if isinstance(told, dict):
            method = str(told.get("quant_method") or told.get("format") or "unknown")
            return AlreadyQuantized(method=method, sign=f"{field} of config.json")
    return None


def _in_tensors(tensors: Sequence[TensorInfo]) -> AlreadyQuantized | None:
    for tensor in tensors:
        if tensor.dtype.startswith(FEW_BITS):
            sign = f"{tensor.name} is {tensor.dtype}"
            return AlreadyQuantized(method="unknown", sign=sign)
        for end, method in TENSOR_ENDS.items():
            if tensor.name.endswith(end):
                return AlreadyQuantized(method=method, sign=f"its tensor {tensor.name}")
    return None


def refuse_adapter(folder: Path) -> None:
    """Raises: UsageError for a folder whose adapter, and not its weights, would be read."""
    path = folder / ADAPTER
    if not path.is_file():
        return
    base = "the model that it was trained on"
    try:
        told = msgspec.json.decode(path.read_bytes())["base_model_name_or_path"]
    except (*UNREADABLE, KeyError, TypeError):
        told = None
    if told:
        base = str(told)
    raise UsageError(
        f"{folder} is a LoRA adapter of {base}",
        hint="pass the model itself; an adapter is served beside it (--lora), or merged by peft's "
        "merge_and_unload",
    )
