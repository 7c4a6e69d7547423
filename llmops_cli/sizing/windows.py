"""How far back each layer's attention looks, from a config's several ways of saying it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmops_cli.sizing.config_values import count_in, is_set, size_in

SLIDING = "sliding_attention"
ALTERNATING = {"gemma2": 2, "gemma3_text": 6, "gpt_oss": 2}
"""Every so many-th layer looks at everything, the others through the window; where no list is."""
ALWAYS = ("mistral", "mixtral", "phi3")


def windows(
    config: Mapping[str, Any],  # Any: a config's values
    *,
    model_type: str,
    count: int,
) -> list[int | None]:
    """The window of each of `count` layers; None for one that looks back to the beginning.

    Raises: UsageError for a width that is no number.
    """
    width = count_in(config, "sliding_window")
    if width == 0 or not is_set(config, "use_sliding_window", default=True):
        return [None] * count
    kinds = config.get("layer_types")
    if isinstance(kinds, list) and len(kinds) == count:
        return [width if kind == SLIDING else None for kind in kinds]
    if model_type in ALTERNATING:
        return _alternating(config, width, model_type=model_type, count=count)
    if model_type in ALWAYS:
        return [width] * count
    return [None] * count


def _alternating(
    config: Mapping[str, Any],  # Any: a config's values
    width: int,
    *,
    model_type: str,
    count: int,
) -> list[int | None]:
    every = size_in(config, "sliding_window_pattern", ALTERNATING[model_type])
    found: list[int | None] = []
    for index in range(count):
        is_whole = (index + 1) % every == 0
        found.append(None if is_whole else width)
    return found
