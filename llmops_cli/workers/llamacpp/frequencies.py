"""The frequencies of rotary embeddings: as Transformers computes them, and as llama.cpp does.

Source: transformers 5.23, modeling_rope_utils.py; llama.cpp, ggml/src/ggml-cpu/ops.cpp.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from _shared.protocol import JobError
from llamacpp.defaults import ModelFields

ORIGINAL_CONTEXT = "original_max_position_embeddings"
BETA_FAST = 32
BETA_SLOW = 1

Doubles = NDArray[np.float64]


class Rotation(NamedTuple):
    """Radians a position, and what cosine and sine are multiplied by."""

    frequencies: Doubles
    attention: float = 1.0


def default_frequencies(theta: float, dimensions: int) -> Doubles:
    exponents = np.arange(0, dimensions, 2, dtype=np.float64) / dimensions
    return np.asarray(theta**-exponents, np.float64)


def rotation_of(
    rope: ModelFields,
    dimensions: int,
    config: ModelFields,
) -> Rotation:
    """What Transformers turns by; of longrope, for a text within the original context.

    Raises: JobError for a kind that is not known.
    """
    plain = default_frequencies(float(rope["rope_theta"]), dimensions)
    kind = rope["rope_type"]
    if kind == "llama3":
        return Rotation(plain / _llama3_factors(rope, plain))
    if kind == "yarn":
        return _yarn(rope, plain, dimensions, config)
    if kind == "longrope":
        short = np.array(rope["short_factor"], np.float64)
        return Rotation(plain / short, _longrope_attention(rope, config))
    raise JobError(
        "UsageError",
        f"rope scaling '{kind}' is not supported",
        "known: dynamic, linear, llama3, longrope, yarn",
    )


def _llama3_factors(rope: ModelFields, frequencies: Doubles) -> Doubles:
    """1 for short wavelengths, `factor` for long ones, and between them a smooth passage."""
    wavelength = 2 * math.pi / frequencies
    original = rope[ORIGINAL_CONTEXT]
    factor = rope["factor"]
    low = rope["low_freq_factor"]
    high = rope["high_freq_factor"]
    turns = original / wavelength
    smooth = (turns - low) / (high - low)
    stretch = (1 - smooth) / factor + smooth
    is_long = wavelength > original / low
    is_short = wavelength < original / high
    factors = np.where(is_long, factor, 1 / stretch)
    return np.where(is_short, 1.0, factors)


def _yarn(
    rope: ModelFields,
    plain: Doubles,
    dimensions: int,
    config: ModelFields,
) -> Rotation:
    original = rope[ORIGINAL_CONTEXT]
    factor = rope.get("factor") or config["max_position_embeddings"] / original
    theta = float(rope["rope_theta"])
    low = _turning_dimension(rope.get("beta_fast") or BETA_FAST, dimensions, theta, original)
    high = _turning_dimension(rope.get("beta_slow") or BETA_SLOW, dimensions, theta, original)
    if rope.get("truncate", True):
        low = math.floor(low)
        high = math.ceil(high)
    blend = _ramp(max(low, 0), min(high, dimensions - 1), dimensions // 2)
    frequencies = plain / factor * blend + plain * (1 - blend)
    return Rotation(frequencies, _yarn_attention(rope, factor))


def _turning_dimension(
    turns: float,
    dimensions: int,
    theta: float,
    original: float,
) -> float:
    """Which dimension turns so often within the original context."""
    return dimensions * math.log(original / (turns * 2 * math.pi)) / (2 * math.log(theta))


def _ramp(low: float, high: float, count: int) -> Doubles:
    """0 up to `low`, 1 from `high` on."""
    width = high - low or 0.001
    return np.clip((np.arange(count) - low) / width, 0.0, 1.0)


def _yarn_attention(rope: ModelFields, factor: float) -> float:
    given = rope.get("attention_factor")
    if given is not None:
        return float(given)
    of_one = rope.get("mscale")
    of_all = rope.get("mscale_all_dim")
    if of_one and of_all:
        return magnitude(factor, of_one) / magnitude(factor, of_all)
    return magnitude(factor, 1.0)


def magnitude(factor: float, scale: float) -> float:
    """What yarn multiplies cosine and sine by, if nothing else is said."""
    if factor <= 1:
        return 1.0
    return 0.1 * scale * math.log(factor) + 1.0


def _longrope_attention(rope: ModelFields, config: ModelFields) -> float:
    given = rope.get("attention_factor")
    if given is not None:
        return float(given)
    original = rope[ORIGINAL_CONTEXT]
    factor = rope.get("factor") or config["max_position_embeddings"] / original
    if factor <= 1:
        return 1.0
    growth = math.log(factor) / math.log(original)
    return math.sqrt(1 + growth)


def llama_yarn(
    theta: float,
    dimensions: int,
    *,
    factor: float,
    original: int,
) -> Doubles:
    """What llama.cpp's yarn turns by: betas of 32 and 1, the ramp's ends rounded."""
    low = math.floor(_turning_dimension(BETA_FAST, dimensions, theta, original))
    high = math.ceil(_turning_dimension(BETA_SLOW, dimensions, theta, original))
    first = max(0, low)
    width = max(0.001, min(dimensions - 1, high) - first)
    blend = np.clip((np.arange(dimensions // 2) - first) / width, 0.0, 1.0)
    plain = default_frequencies(theta, dimensions)
    return np.asarray(plain / factor * blend + plain * (1 - blend), np.float64)
