"""Rotary embedding of a model as GGUF keys and tensors."""

import math
from collections.abc import Iterator

import gguf
import numpy as np

from _shared.arrays import Floats
from _shared.protocol import JobError
from llamacpp.architectures import ModelFields, head_dim_of

DEFAULT_THETA = 10000.0
ORIGINAL_CONTEXT = "original_max_position_embeddings"
LONGROPE = ("su", "longrope")


def rope_of(config: ModelFields) -> ModelFields:
    """Rotary parameters of the (global) layers, from either generation of config.json."""
    written: ModelFields = {}
    for generation in ("rope_scaling", "rope_parameters"):
        written = config.get(generation) or written
    rope = dict(written.get("full_attention", written))
    theta = config.get("rope_theta", DEFAULT_THETA)
    rope.setdefault("rope_theta", theta)
    kind = rope.get("rope_type") or rope.get("type")
    rope["rope_type"] = kind or "default"
    return rope


def add_rope(
    writer: gguf.GGUFWriter,
    config: ModelFields,
    architecture: gguf.MODEL_ARCH,
) -> None:
    """Raises: JobError for a scaling that llama.cpp does not have."""
    rope = rope_of(config)
    kind = rope["rope_type"]
    writer.add_rope_freq_base(float(rope["rope_theta"]))
    if architecture == gguf.MODEL_ARCH.GEMMA3:
        writer.add_rope_freq_base_swa(_local_theta(config))
    if kind == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope["factor"])
    elif kind == "yarn":
        _add_yarn(writer, config, rope)
    elif kind in LONGROPE:
        writer.add_rope_scaling_type(gguf.RopeScalingType.LONGROPE)
        writer.add_rope_scaling_attn_factors(_longrope_attention(config, rope))
    elif kind not in ("default", "llama3"):
        raise JobError(
            "UsageError",
            f"rope scaling '{kind}' is not supported",
            "known: linear, llama3, longrope, yarn",
        )


def _local_theta(config: ModelFields) -> float:
    """The base of Gemma 3's sliding layers."""
    rope = config.get("rope_parameters") or {}
    local = rope.get("sliding_attention", {})
    fallback = config.get("rope_local_base_freq", DEFAULT_THETA)
    return float(local.get("rope_theta", fallback))


def _add_yarn(
    writer: gguf.GGUFWriter,
    config: ModelFields,
    rope: ModelFields,
) -> None:
    original = rope.get(ORIGINAL_CONTEXT) or config["max_position_embeddings"]
    writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
    writer.add_rope_scaling_factor(rope["factor"])
    writer.add_rope_scaling_orig_ctx_len(original)
    attention = rope.get("attention_factor")
    if attention is None:
        attention = rope.get("attn_factor")
    if attention is not None:
        writer.add_rope_scaling_yarn_attn_factor(attention)
    if rope.get("beta_fast") is not None:
        writer.add_rope_scaling_yarn_beta_fast(rope["beta_fast"])
    if rope.get("beta_slow") is not None:
        writer.add_rope_scaling_yarn_beta_slow(rope["beta_slow"])


def _longrope_attention(config: ModelFields, rope: ModelFields) -> float:
    """What attention is multiplied by, as Phi-3's own code has it."""
    original = rope.get(ORIGINAL_CONTEXT) or config[ORIGINAL_CONTEXT]
    scale = config["max_position_embeddings"] / original
    if scale <= 1:
        return 1.0
    growth = math.log(scale) / math.log(original)
    return math.sqrt(1 + growth)


def rope_tensors(config: ModelFields) -> Iterator[tuple[str, Floats]]:
    """Frequency factors that llama.cpp reads as tensors: llama3 and longrope."""
    rope = rope_of(config)
    if rope["rope_type"] == "llama3":
        yield "rope_freqs.weight", _llama3_factors(rope, head_dim_of(config))
    elif rope["rope_type"] in LONGROPE:
        for length in ("long", "short"):
            given = rope[f"{length}_factor"]
            factors = np.array(given, np.float32)
            yield f"rope_factors_{length}.weight", factors


def _llama3_factors(rope: ModelFields, head_dim: int) -> Floats:
    """1 for short wavelengths, `factor` for long ones, and between them a smooth passage."""
    places = np.arange(0, head_dim, 2, dtype=np.float32)
    exponent = places / head_dim
    frequency = 1.0 / rope["rope_theta"] ** exponent
    wavelength = 2 * math.pi / frequency
    original = rope[ORIGINAL_CONTEXT]
    factor = rope["factor"]
    low = rope["low_freq_factor"]
    high = rope["high_freq_factor"]
    turns = original / wavelength
    smooth = (turns - low) / (high - low)
    stretch = (1 - smooth) / factor + smooth
    factors = 1 / stretch
    is_long = wavelength > original / low
    is_short = wavelength < original / high
    factors = np.where(is_long, factor, factors)
    factors = np.where(is_short, 1.0, factors)
    return factors.astype(np.float32)
