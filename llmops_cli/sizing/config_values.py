"""Values of a config.json that must make sense before anything is counted with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmops_cli.core.errors import UsageError

Config = Mapping[str, Any]  # Any: each architecture has fields of its own
LARGEST = 100_000_000
"""No size of a published model comes near; above it, a config is a mistake."""
MOST_LAYERS = 10_000
HINT = "a config.json of a decoder-only language model"


def size_in(config: Config, key: str, default: int | None = None) -> int:
    """A whole number from 1; a key that is null is one that is not there.

    Raises: UsageError for what is not there and has no default, or is no such number.
    """
    value = config.get(key)
    if value is None:
        value = default
    return _checked(key, value, least=1)


def count_in(config: Config, key: str, default: int = 0) -> int:
    """A whole number from 0. Raises: UsageError for anything else."""
    value = config.get(key)
    return _checked(key, default if value is None else value, least=0)


def positions_in(config: Config) -> int | None:
    """Tokens that the model was made for, or stretched to by YaRN and the like; None: not told.

    Raises: UsageError for what is no count.
    """
    told = count_in(config, "max_position_embeddings") or None
    scaling = config.get("rope_scaling") or config.get("rope_parameters")
    if told is None or not isinstance(scaling, dict):
        return told
    factor = scaling.get("factor")
    original = scaling.get("original_max_position_embeddings")
    if not isinstance(factor, int | float) or not isinstance(original, int | float):
        return told
    stretched = original * factor
    return max(told, int(stretched)) if told < stretched <= LARGEST else told


def layers_in(config: Config, key: str = "num_hidden_layers") -> int:
    """Raises: UsageError for more layers than any model has."""
    layers = size_in(config, key)
    if layers > MOST_LAYERS:
        raise UsageError(f"the model's config has {layers:,} layers", hint=HINT)
    return layers


def is_set(config: Config, key: str, *, default: bool = False) -> bool:
    """Raises: UsageError for what is neither true nor false."""
    value = config.get(key)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise UsageError(f"the model's config has no usable '{key}': {_short(value)}", hint=HINT)
    return value


def name_in(config: Config, key: str) -> str:
    """Empty where the config has none. Raises: UsageError for what is no text."""
    value = config.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise UsageError(f"the model's config has no usable '{key}': {_short(value)}", hint=HINT)
    return value


def names_in(config: Config, key: str, count: int) -> list[str] | None:
    """One name for each of `count` layers; None where the config has no such list.

    Raises: UsageError for a list of something else, or of another length.
    """
    value = config.get(key)
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise UsageError(f"the model's config has no usable '{key}': {_short(value)}", hint=HINT)
    if len(value) != count:
        raise UsageError(
            f"the model's config has {len(value)} '{key}' for {count} layers",
            hint="one for each layer",
        )
    return value


def numbers_in(config: Config, key: str) -> list[int] | None:
    """None where the config has no such list. Raises: UsageError for a list of something else."""
    value = config.get(key)
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(each, int) for each in value):
        raise UsageError(f"the model's config has no usable '{key}': {_short(value)}", hint=HINT)
    return value


def listed_sizes(config: Config, key: str, count: int) -> list[int]:
    """A whole number from 1 for each of `count` layers. Raises: UsageError for anything else."""
    found = numbers_in(config, key)
    if found is None or len(found) != count:
        raise UsageError(
            f"the model's config has no usable '{key}'", hint=f"a number for each of {count} layers"
        )
    return [_checked(key, each, least=1) for each in found]


def head_size(config: Config, heads: int, *, default: int | None = None) -> int:
    """Of one head: as the config says, as the family has it, or its part of the hidden size.

    Raises: UsageError for a hidden size that so many heads do not divide.
    """
    if config.get("head_dim") is not None:
        return size_in(config, "head_dim")
    if default is not None:
        return default
    hidden_size = size_in(config, "hidden_size")
    require_multiple("hidden_size", hidden_size, "num_attention_heads", heads)
    return hidden_size // heads


def require_multiple(key: str, value: int, part_key: str, part: int) -> None:
    """Raises: UsageError for a value that its part does not divide."""
    if value % part:
        raise UsageError(
            f"the model's config has '{key}' {value:,}, no multiple of '{part_key}' {part:,}",
            hint=HINT,
        )


def require_no_more(key: str, value: int, limit_key: str, limit: int) -> None:
    """Raises: UsageError for a part that is larger than the whole."""
    if value > limit:
        raise UsageError(
            f"the model's config has '{key}' {value:,}, more than '{limit_key}' {limit:,}",
            hint=HINT,
        )


def _checked(key: str, value: object, *, least: int) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and least <= value <= LARGEST:
        return value
    raise UsageError(f"the model's config has no usable '{key}': {_short(value)}", hint=HINT)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
