"""What a model's rotary embedding turns by, and how llama.cpp is told to turn by the same.

What Transformers computes is computed here too, and so is what llama.cpp would: where they differ
and no key or tensor can tell it, the model is refused.
"""

from typing import NamedTuple

import gguf
import numpy as np

from _shared.arrays import Floats
from _shared.protocol import JobError
from llamacpp.defaults import ModelFields
from llamacpp.frequencies import (
    ORIGINAL_CONTEXT,
    Rotation,
    default_frequencies,
    llama_yarn,
    magnitude,
    rotation_of,
)
from llamacpp.rope_fields import as_object, check_rope

HAS_FREQUENCY_FACTORS = (gguf.MODEL_ARCH.LLAMA,)
"""llama.cpp reads `rope_freqs` for these, and so any frequencies."""
HAS_LONG_FACTORS = (gguf.MODEL_ARCH.LLAMA, gguf.MODEL_ARCH.PHI3)
HAS_PARTIAL_ROTARY = (gguf.MODEL_ARCH.PHI3,)
GLOBAL_THETA = {gguf.MODEL_ARCH.GEMMA3: 1_000_000.0}
DEFAULT_THETA = 10_000.0
CLOSE = 1e-5
"""As near as float32 takes two ways of computing the same frequency."""


class Rope(NamedTuple):
    """How it is written: the keys, and the factors that frequencies are divided by."""

    theta: float
    dimensions: int
    scaling: gguf.RopeScalingType | None = None
    factor: float | None = None
    attention: float = 1.0
    original_context: int | None = None
    tensors: tuple[tuple[str, Floats], ...] = ()
    local_theta: float | None = None
    short_context: int | None = None
    """Beyond it llama.cpp takes other factors than Transformers for a text that is shorter."""


def rope_parameters(config: ModelFields, architecture: gguf.MODEL_ARCH) -> ModelFields:
    """Of the layers that see all, from either generation of config.json."""
    rope = _written(config, architecture)
    theta = config.get("rope_theta", GLOBAL_THETA.get(architecture, DEFAULT_THETA))
    rope.setdefault("rope_theta", theta)
    kind = rope.get("rope_type") or rope.get("type") or "default"
    if architecture == gguf.MODEL_ARCH.PHI3 and kind in ("su", "yarn"):
        kind = "longrope"  # as Transformers reads Phi-3's first configurations
    rope["rope_type"] = kind
    share = config.get("partial_rotary_factor")
    if share is not None:
        rope.setdefault("partial_rotary_factor", share)
    original = config.get(ORIGINAL_CONTEXT)
    if original is not None:
        rope[ORIGINAL_CONTEXT] = original  # beside the parameters it wins, so Transformers
    rope.setdefault(ORIGINAL_CONTEXT, config["max_position_embeddings"])
    check_rope(rope)
    return rope


def _written(config: ModelFields, architecture: gguf.MODEL_ARCH) -> ModelFields:
    """As config.json has them: Gemma 3 by kinds of layers, all others once."""
    scaling = as_object(config, "rope_scaling")
    parameters = as_object(config, "rope_parameters")
    if architecture == gguf.MODEL_ARCH.GEMMA3:
        return {**as_object(parameters, "full_attention"), **scaling}
    return dict(scaling or parameters)


def rope_of(
    config: ModelFields,
    architecture: gguf.MODEL_ARCH,
    *,
    beyond_window: bool = False,
) -> Rope:
    """`beyond_window`: longrope's factors for long texts are kept, in the place of the short ones.

    Raises: JobError for what llama.cpp would turn by another angle.
    """
    rope = rope_parameters(config, architecture)
    if architecture == gguf.MODEL_ARCH.GEMMA3:
        return _of_gemma3(config, rope)
    kind = rope["rope_type"]
    dimensions = _dimensions(config, rope, architecture)
    plain = Rope(float(rope["rope_theta"]), dimensions)
    if architecture == gguf.MODEL_ARCH.PHI3 and kind not in ("default", "longrope"):
        raise _refusal(kind, architecture, "Transformers itself reads longrope alone for Phi-3")
    if kind in ("default", "dynamic"):
        # dynamic scaling begins beyond max_position_embeddings, where the context ends
        return plain
    if kind == "longrope":
        return _of_longrope(config, rope, plain, architecture, beyond_window=beyond_window)
    if kind in ("linear", "yarn"):
        native = scaled_rope(config, rope, dimensions)
        if native is not None:
            return native
    return _of_factors(rotation_of(rope, dimensions, config), plain, kind, architecture)


def scaled_rope(config: ModelFields, rope: ModelFields, dimensions: int) -> Rope | None:
    """One scaled as `linear` or `yarn`, in llama.cpp's own way; None if that is another."""
    plain = Rope(float(rope["rope_theta"]), dimensions)
    if rope["rope_type"] == "linear":
        return plain._replace(scaling=gguf.RopeScalingType.LINEAR, factor=float(rope["factor"]))
    return _of_yarn(config, rope, plain, rotation_of(rope, dimensions, config))


def _dimensions(
    config: ModelFields,
    rope: ModelFields,
    architecture: gguf.MODEL_ARCH,
) -> int:
    """How many of a head's values turn."""
    head_dim = int(config["head_dim"])
    share = rope.get("partial_rotary_factor") or 1.0
    dimensions = int(head_dim * share)
    is_partial = architecture in HAS_PARTIAL_ROTARY
    if not is_partial and rope["rope_type"] != "default" and dimensions != head_dim:
        name = gguf.MODEL_ARCH_NAMES[architecture]
        message = f"partial_rotary_factor {share}: llama.cpp's {name} turns whole heads"
        raise JobError("UsageError", message)
    if not is_partial:
        dimensions = head_dim  # Transformers has no partial rotary there either
    return _in_pairs(dimensions, head_dim)


def _in_pairs(dimensions: int, head_dim: int) -> int:
    """The same number. Raises: JobError for one that llama.cpp would end the process on."""
    if dimensions % 2 or not 0 < dimensions <= head_dim:
        message = f"{dimensions} of {head_dim} values of a head turn: llama.cpp turns pairs"
        raise JobError("UsageError", message, "head_dim, or its rotary share, must be even")
    return dimensions


def _of_yarn(
    config: ModelFields,
    rope: ModelFields,
    plain: Rope,
    rotation: Rotation,
) -> Rope | None:
    """llama.cpp's own yarn, if it comes to the same.

    It rounds the ramp's ends and has no keys for betas: both scale with the original context.
    """
    given = rope.get("factor")
    factor = float(given or config["max_position_embeddings"] / rope[ORIGINAL_CONTEXT])
    beta_slow = rope.get("beta_slow") or 1
    original = round(rope[ORIGINAL_CONTEXT] / beta_slow)
    computed = llama_yarn(plain.theta, plain.dimensions, factor=factor, original=original)
    if not np.allclose(computed, rotation.frequencies, rtol=CLOSE, atol=0.0):
        return None
    own_attention = magnitude(factor, 1.0)  # which llama.cpp multiplies by itself
    return plain._replace(
        scaling=gguf.RopeScalingType.YARN,
        factor=factor,
        attention=rotation.attention / own_attention,
        original_context=original,
    )


def _of_factors(
    rotation: Rotation,
    plain: Rope,
    kind: str,
    architecture: gguf.MODEL_ARCH,
) -> Rope:
    """Any frequencies, as factors of the plain ones."""
    if architecture not in HAS_FREQUENCY_FACTORS:
        raise _refusal(kind, architecture, "has no frequency factors")
    frequencies = default_frequencies(plain.theta, plain.dimensions)
    factors = (frequencies / rotation.frequencies).astype(np.float32)
    return plain._replace(
        scaling=gguf.RopeScalingType.NONE,
        attention=rotation.attention,
        tensors=(("rope_freqs.weight", factors),),
    )


def _of_longrope(
    config: ModelFields,
    rope: ModelFields,
    plain: Rope,
    architecture: gguf.MODEL_ARCH,
    *,
    beyond_window: bool,
) -> Rope:
    """llama.cpp goes by the size of the context, which is 256 at least: both are the short ones."""
    if architecture not in HAS_LONG_FACTORS:
        raise _refusal("longrope", architecture, "has no frequency factors")
    original = int(rope[ORIGINAL_CONTEXT])
    tensors = []
    for length in ("long", "short"):
        source = f"{length}_factor" if beyond_window else "short_factor"
        factors = np.array(rope[source], np.float32)
        if len(factors) != plain.dimensions // 2:
            message = f"{source} has {len(factors)} values; {plain.dimensions // 2} turn"
            raise JobError("UsageError", message, "the config.json is broken")
        tensors.append((f"rope_factors_{length}.weight", factors))
    return plain._replace(
        scaling=gguf.RopeScalingType.LONGROPE,
        attention=rotation_of(rope, plain.dimensions, config).attention,
        original_context=original,
        tensors=tuple(tensors),
        short_context=original,
    )


def _of_gemma3(config: ModelFields, rope: ModelFields) -> Rope:
    """Two bases: its sliding layers turn by one of their own, and are never scaled."""
    local = as_object(as_object(config, "rope_parameters"), "sliding_attention")
    theta = config.get("rope_local_base_freq") or DEFAULT_THETA
    local = {"rope_type": "default", "rope_theta": theta, **local}
    check_rope(local)
    kinds = (rope["rope_type"], local["rope_type"])
    if kinds[0] not in ("default", "linear") or kinds[1] != "default":
        described = f"{kinds[0]} (sliding layers: {kinds[1]})"
        lack = "scales the layers that see all by one factor, and no others"
        raise _refusal(described, gguf.MODEL_ARCH.GEMMA3, lack)
    head_dim = int(config["head_dim"])
    found = Rope(
        float(rope["rope_theta"]),
        _in_pairs(head_dim, head_dim),
        local_theta=float(local["rope_theta"]),
    )
    if kinds[0] == "linear":
        found = found._replace(scaling=gguf.RopeScalingType.LINEAR, factor=float(rope["factor"]))
    return found


def _refusal(kind: str, architecture: gguf.MODEL_ARCH, lack: str) -> JobError:
    name = gguf.MODEL_ARCH_NAMES[architecture]
    known = "linear, and yarn as llama.cpp computes it; Llama and Mistral: llama3, longrope"
    message = f"rope scaling '{kind}' is not supported: llama.cpp's {name} {lack}"
    return JobError("UsageError", message, f"known: {known}")


def add_rope(writer: gguf.GGUFWriter, rope: Rope) -> None:
    writer.add_rope_dimension_count(rope.dimensions)
    writer.add_rope_freq_base(rope.theta)
    if rope.local_theta is not None:
        writer.add_rope_freq_base_swa(rope.local_theta)
    add_scaling(writer, rope)


def add_scaling(writer: gguf.GGUFWriter, rope: Rope) -> None:
    if rope.scaling is not None:
        writer.add_rope_scaling_type(rope.scaling)
    if rope.factor is not None:
        writer.add_rope_scaling_factor(rope.factor)
    if rope.original_context is not None:
        writer.add_rope_scaling_orig_ctx_len(rope.original_context)
    if rope.attention != 1.0:
        writer.add_rope_scaling_attn_factors(rope.attention)
