"""Bits of a weight in each format that serves, scales included."""

from __future__ import annotations

import re

from llmops_cli.core.errors import UsageError, unknown_name

FLOATS = {"F32": 32.0, "FP32": 32.0, "F16": 16.0, "FP16": 16.0, "BF16": 16.0}
GROUP_INT4 = 4 + (16 + 4) / 128
"""AWQ and GPTQ: for each 128 weights a 16-bit scale and a 4-bit zero point."""
FOLDERS = {
    "FP8": 8.0,
    "FP8-BLOCK": 8.002,
    "W8A8": 8.0,
    "INT8": 8.0,
    "GPTQ-INT8": 8 + (16 + 8) / 128,
    "GPTQ-INT4": GROUP_INT4,
    "AWQ-INT4": GROUP_INT4,
    "AWQ": GROUP_INT4,
    "GPTQ": GROUP_INT4,
    "W4A16": GROUP_INT4,
    "MXFP4": 4.25,
    "MXFP4-ALL": 4.25,
    "NVFP4": 4.5,
    "NF4": 4.127,
    "NF4-SINGLE": 4.5,
}
"""Formats that leave embeddings, head and norms in 16 bits. NF4 is with double quantization."""
GGUF = {
    "IQ1_S": 2.0042,
    "IQ1_M": 2.1460,
    "IQ2_XXS": 2.3824,
    "IQ2_XS": 2.5882,
    "IQ2_S": 2.7403,
    "IQ2_M": 2.9294,
    "IQ3_XXS": 3.2548,
    "IQ3_XS": 3.4977,
    "IQ3_S": 3.6606,
    "IQ3_M": 3.7628,
    "IQ4_XS": 4.4597,
    "IQ4_NL": 4.6818,
    "Q2_K_S": 2.9697,
    "Q2_K": 3.1593,
    "Q3_K_S": 3.6429,
    "Q3_K_M": 3.9960,
    "Q3_K_L": 4.2979,
    "Q4_0": 4.6390,
    "Q4_1": 5.1000,
    "Q4_K_S": 4.6672,
    "Q4_K_M": 4.8944,
    "Q5_0": 5.6000,
    "Q5_1": 6.0500,
    "Q5_K_S": 5.5704,
    "Q5_K_M": 5.7036,
    "Q6_K": 6.5633,
    "Q8_0": 8.5008,
}
"""Means over Llama-3.1-8B (llama.cpp, tools/quantize/README.md); other shapes differ by a percent
or two, for the type of each tensor depends on its place."""
RARE_GGUF = {"MXFP4_MOE": 4.6, "TQ1_0": 1.9, "TQ2_0": 2.3}
"""Of one family or few; no file is called so by its number of bits."""
KNOWN = FLOATS | FOLDERS | GGUF | RARE_GGUF
_DEFAULTS = {
    "GPTQ": "GPTQ-INT4",
    "AWQ": "AWQ-INT4",
    "FLOAT32": "F32",
    "FLOAT16": "F16",
    "BFLOAT16": "BF16",
}


def scheme_named(text: str) -> str:
    """The format's name as the tables have it. Raises: UsageError with the nearest."""
    plain = re.sub(r"[\s(].*", "", text.strip()).upper()
    plain = _DEFAULTS.get(plain, plain)
    if plain not in KNOWN:
        raise unknown_name("format", text, KNOWN)
    return plain


def check_bits(bits: float) -> float:
    """Raises: UsageError for what no format has."""
    if not 1 <= bits <= 64:
        raise UsageError(f"{bits:g} bits a weight is no format", hint="from 1 to 32")
    return bits
