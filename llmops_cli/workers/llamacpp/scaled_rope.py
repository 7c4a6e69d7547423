"""Scaled rotary embeddings of architectures that llama.cpp's own converter writes.

Some of its classes leave the scaling out, and yarn's attention factor, betas and `truncate` get
lost in all. They are told here as our converter tells them, or refused where no key does.
"""

import importlib
from typing import Any

from _shared.protocol import JobError, Json
from llamacpp.frequencies import ORIGINAL_CONTEXT, rotation_of
from llamacpp.mended_keys import after_parameters
from llamacpp.notices import ROPE_ROUNDED, Notice

# An object of llama.cpp's scripts, which are no package of types.
Converter = Any
Written = dict[str, Any]
"""A file's keys as gguf's writer keeps them."""

SCALED = ("linear", "yarn")
FACTORED_QUERIES = ("deepseek2",)
"""Which llama.cpp scales with yarn alone, and by `mscale_all_dim`."""
ROUNDED = {"gpt-oss": {"beta_fast": 32.0, "beta_slow": 1.0, ORIGINAL_CONTEXT: 4096}}
"""As it is published: not truncated. llama.cpp truncates, which is told."""
ROUNDED_NOTICE = Notice(
    ROPE_ROUNDED,
    "llama.cpp rounds the ends of yarn's ramp, and this model does not: answers drift from the "
    "original's as texts grow (1e-6 nats within 60 tokens of a random model, 7e-4 after 1,000)",
)
OF_YARN = ("ATTN_FACTOR", "BETA_FAST", "BETA_SLOW")
"""Keys that its classes write, and that llama.cpp does not compute with."""
DEFAULT_THETA = 10_000.0


def tell_scaled_rope(model: Converter, told: list[Json]) -> None:
    """Raises: JobError, before any tensor is written, for a scaling that no key tells."""
    ropes = model.rope_parameters
    rope = dict(ropes.get("full_attention", ropes))
    if rope.get("rope_type") in SCALED:
        after_parameters(model, lambda written: _tell(model, rope, written, told))


def _tell(model: Converter, rope: Json, written: Written, told: list[Json]) -> None:
    # it imports gguf, which must be llama.cpp's own copy by now
    from llamacpp.rope import add_scaling, scaled_rope

    keys = importlib.import_module("gguf").Keys
    arch = model.gguf_writer.arch
    context = written[keys.LLM.CONTEXT_LENGTH.format(arch=arch)].value
    rope.setdefault("rope_theta", DEFAULT_THETA)
    rope.setdefault(ORIGINAL_CONTEXT, context)
    if arch in ROUNDED and rope.items() >= ROUNDED[arch].items():
        rope["truncate"] = True
        told.append(ROUNDED_NOTICE.as_json())
    dimensions = _dimensions(model, written)
    found = scaled_rope({"max_position_embeddings": context}, rope, dimensions)
    if found is None:
        raise _refusal(arch, "a yarn with other betas, or one that is not truncated")
    is_multiplied = keys.Rope.SCALING_YARN_LOG_MUL.format(arch=arch) in written
    if is_multiplied or arch in FACTORED_QUERIES:
        if not (is_multiplied and _is_plain_yarn(rope, found.original_context, dimensions)):
            raise _refusal(arch, "any but a yarn whose mscale and mscale_all_dim are one number")
        return
    for name in OF_YARN:
        written.pop(getattr(keys.Rope, f"SCALING_YARN_{name}").format(arch=arch), None)
    add_scaling(model.gguf_writer, found)


def _is_plain_yarn(rope: Json, original: int | None, dimensions: int) -> bool:
    """Whether its class has told all of it: no attention factor, no beta but in the file."""
    if rope["rope_type"] != "yarn" or original != rope[ORIGINAL_CONTEXT]:
        return False
    return rotation_of(rope, dimensions, {}).attention == 1.0


def _dimensions(model: Converter, written: Written) -> int:
    """How many of a head's values turn."""
    keys = importlib.import_module("gguf").Keys
    arch = model.gguf_writer.arch
    for key in (keys.Rope.DIMENSION_COUNT, keys.Attention.KEY_LENGTH):
        told = written.get(key.format(arch=arch))
        if told is not None:
            return int(told.value)
    width = written[keys.LLM.EMBEDDING_LENGTH.format(arch=arch)].value
    return int(width // written[keys.Attention.HEAD_COUNT.format(arch=arch)].value)


def _refusal(arch: str, lack: str) -> JobError:
    message = f"rope scaling is not supported: llama.cpp's {arch} lacks {lack}"
    return JobError("UsageError", message, "--backend transformers may serve it as it is")
