"""The number type in which a folder's weights can be computed once they are unpacked."""

import json
from pathlib import Path

AS_STORED = "auto"
BFLOAT16_FORMATS = frozenset({"mxfp4-pack-quantized", "nvfp4-pack-quantized"})
"""compressed-tensors unpacks these to bfloat16, whatever type the rest of the model has."""


def dtype_of(folder: str, wanted: str = AS_STORED) -> str:
    """`wanted`, but for the types that only some of the weights would have."""
    if wanted != AS_STORED:
        return wanted
    path = Path(folder) / "config.json"
    if not path.is_file():  # Transformers says what it misses
        return wanted
    config = json.loads(path.read_bytes())
    quantization = config.get("quantization_config") or {}
    if quantization.get("format") in BFLOAT16_FORMATS:
        return "bfloat16"
    return wanted
