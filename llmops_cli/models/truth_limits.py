"""How far a right copy may lie from its original, for each type of weights.

A limit is a share of what the original knows: of the KL divergence of a model that knows nothing.
So it means the same for a random model, whose distributions are nearly flat, and a trained one.
docs/QUANTIZE.md has the measurements that they were chosen by.
"""

from __future__ import annotations

import re

VECTOR_DISTANCE = 1e-3
"""1 - cosine of a text's vector in F16 and in float32."""
ENCODER_TEXTS = 0.15
"""Share of the texts that an encoder may cut otherwise.

llama.cpp's WordPiece drops marks and composes letters in its own way: of all-MiniLM-L6-v2, which is
English, 5 of 64 texts (Hindi, Bengali, Korean, one of emoji, one of line separators).
"""
LEAST_NATS = 1e-6
"""Two right models differ by up to this: sums in another order."""
DEQUANTIZED = "dequantized"
"""A folder that was made from a GGUF file: llama.cpp rounds what it multiplies by such weights."""
FLOAT_SHARES = {"F32": 1e-7, "F16": 1e-4, "BF16": 2e-3}
SHARES = {16: 0.02, 8: 0.02, 6: 0.03, 5: 0.06, 4: 0.2, 3: 0.4, 2: 0.8, 1: 1.0}
"""Bits of a weight -> share."""
UNKNOWN_SHARE = 0.2


def is_float(scheme: str) -> bool:
    """Whether a type keeps the weights as they are, up to rounding."""
    return scheme in FLOAT_SHARES or scheme == DEQUANTIZED


def limit_nats(scheme: str, known_nats: float, *, bits: int | None = None) -> float:
    """The divergence that this type explains; `bits` where the scheme's name has none."""
    share = {**FLOAT_SHARES, DEQUANTIZED: SHARES[8]}.get(scheme)
    if share is None:
        share = SHARES.get(bits or bits_of(scheme) or 0, UNKNOWN_SHARE)
    return max(LEAST_NATS, share * known_nats)


def bits_of(scheme: str) -> int | None:
    """Of Q4_K_M, IQ2_XS, W4A16, MXFP4, TQ1_0: the first digit; None for other names."""
    found = re.match(r"(?:I?Q|TQ|W|NF|FP|MXFP|NVFP|INT)(\d)", scheme.upper())
    return int(found[1]) if found else None
