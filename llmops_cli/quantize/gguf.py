"""The types of llama.cpp's quantizer, and which of them want an importance matrix. Pure."""

from __future__ import annotations

import re

from llmops_cli.core.errors import unknown_name
from llmops_cli.models.convert import FLOAT_SCHEMES

SCHEMES = (
    *FLOAT_SCHEMES,
    "Q8_0",
    "Q6_K",
    "Q5_K_M",
    "Q5_K_S",
    "Q5_1",
    "Q5_0",
    "Q4_K_M",
    "Q4_K_S",
    "Q4_1",
    "Q4_0",
    "Q3_K_L",
    "Q3_K_M",
    "Q3_K_S",
    "Q2_K",
    "Q2_K_S",
    "IQ4_NL",
    "IQ4_XS",
    "IQ3_M",
    "IQ3_S",
    "IQ3_XS",
    "IQ3_XXS",
    "IQ2_M",
    "IQ2_S",
    "IQ2_XS",
    "IQ2_XXS",
    "IQ1_M",
    "IQ1_S",
    "TQ2_0",
    "TQ1_0",
    "MXFP4_MOE",
    "NVFP4",
    "Q2_0",
    "Q1_0",
)
"""Every file type that llama.cpp's quantizer makes, best quality first within a family."""
DEFAULT_SCHEME = "Q4_K_M"

NEEDS_IMATRIX = frozenset({"IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "Q2_K_S"})
"""llama.cpp refuses or ruins these without an importance matrix (tools/quantize/quantize.cpp)."""
MIX = "mix-"
MB = 1_000_000
HELPED_BY_IMATRIX = re.compile(r"(IQ|Q[1-4]_)")
"""At four bits and below the matrix lowers the loss enough to be worth its minutes."""


def canonical_scheme(scheme: str) -> str:
    """As llama.cpp writes it. Raises: UsageError with a did-you-mean."""
    canonical = scheme.upper()
    if canonical not in SCHEMES:
        raise unknown_name("scheme", scheme, SCHEMES)
    return canonical


def mix_scheme(room_bytes: int) -> str:
    """What a mix of types under this size is called: mix-90MB."""
    megabytes, rest = divmod(room_bytes, MB)
    return f"{MIX}{room_bytes}B" if rest else f"{MIX}{megabytes}MB"


def is_mix(scheme: str) -> bool:
    return scheme.startswith(MIX)


def wants_imatrix(scheme: str) -> bool:
    """Whether an importance matrix is worth computing for it."""
    if scheme in FLOAT_SCHEMES:
        return False
    return is_mix(scheme) or scheme in NEEDS_IMATRIX or HELPED_BY_IMATRIX.match(scheme) is not None
