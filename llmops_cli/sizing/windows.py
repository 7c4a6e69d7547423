"""How far back each layer's attention looks, from a config's several ways of saying it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmops_cli.sizing.config_values import count_in, is_set, names_in, size_in

SLIDING = "sliding_attention"
CHUNKED = "chunked_attention"
ALTERNATING = {
    "gemma2": 2,
    "vaultgemma": 2,
    "gemma3_text": 6,
    "gemma3n_text": 5,
    "gemma4_text": 6,
    "gpt_oss": 2,
    "cohere2": 4,
    "exaone4": 4,
    "olmo2": 4,
}
"""Every so many-th layer looks at everything, the others through the window; where no list is."""
ALWAYS = ("mistral", "ministral", "mixtral", "phi3", "phimoe", "starcoder2")
LATE = ("qwen2", "qwen2_moe", "qwen3", "qwen3_moe")
"""Layers from `max_window_layers` on have the window, where `use_sliding_window` says so."""
PATTERN_KEYS = ("sliding_window_pattern", "_sliding_window_pattern")
WHOLE_SIGN = "G"
"""In a pattern of letters, a layer that looks at everything."""


def windows(
    config: Mapping[str, Any],  # Any: a config's values
    *,
    model_type: str,
    count: int,
) -> list[int | None]:
    """The window of each of `count` layers; None for one that looks back to the beginning.

    Raises: UsageError for a width that is no number, or a list of another length.
    """
    width = count_in(config, "sliding_window")
    if not is_set(config, "use_sliding_window", default=True):
        width = 0
    chunk = count_in(config, "attention_chunk_size") or None
    kinds = names_in(config, "layer_types", count)
    reach = {SLIDING: width or None, CHUNKED: chunk}
    if kinds is not None:
        return [reach.get(kind) for kind in kinds]
    if width == 0:
        return [None] * count
    if model_type in ALTERNATING:
        return _alternating(config, width, model_type=model_type, count=count)
    if model_type in ALWAYS:
        return [width] * count
    if model_type in LATE and is_set(config, "use_sliding_window"):
        first = count_in(config, "max_window_layers", count)
        return [None if index < first else width for index in range(count)]
    return [None] * count


def _alternating(
    config: Mapping[str, Any],  # Any: a config's values
    width: int,
    *,
    model_type: str,
    count: int,
) -> list[int | None]:
    told = [key for key in PATTERN_KEYS if config.get(key) is not None]
    key = told[0] if told else PATTERN_KEYS[0]
    signs = config.get(key)
    if isinstance(signs, str) and signs:
        kinds = [signs[index % len(signs)] for index in range(count)]
        return [None if kind == WHOLE_SIGN else width for kind in kinds]
    every = size_in(config, key, ALTERNATING[model_type])
    found: list[int | None] = []
    for index in range(count):
        is_whole = (index + 1) % every == 0
        found.append(None if is_whole else width)
    return found
