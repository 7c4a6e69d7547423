"""How weights are kept, from any library's quantization_config. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

Config = dict[str, Any]  # Any: each library has fields of its own

BITS_FIELDS = ("bits", "w_bit", "nbits")
GROUP_FIELDS = ("group_size", "q_group_size")
BLOCK_FLOATS = {("tensor_group", 16): "NVFP4", ("group", 32): "MXFP4"}
"""4-bit floating point by (strategy, group size) of compressed-tensors."""
LOAD_BITS = {"load_in_4bit": 4, "load_in_8bit": 8}


class WeightFormat(msgspec.Struct, frozen=True, kw_only=True):
    """None: the config does not tell, or there is no such thing. Groups are input channels."""

    scheme: str | None = None
    bits: int | None = None
    group_size: int | None = None
    symmetric: bool | None = None


def weight_format(config: Config) -> WeightFormat:
    """What a quantization_config says; of compressed-tensors' groups, the first."""
    group = _first_group(config)
    weights = _object(group.get("weights"))
    bits = _whole(weights.get("num_bits")) or _bits(config)
    group_size = _whole(weights.get("group_size")) or _first(config, GROUP_FIELDS)
    return WeightFormat(
        scheme=_scheme(config, group, bits),
        bits=bits,
        group_size=group_size,
        symmetric=_symmetric(config, weights),
    )


def _first_group(config: Config) -> Config:
    for group in _object(config.get("config_groups")).values():
        if isinstance(group, dict):
            return group
    return {}


def _bits(config: Config) -> int | None:
    told = _first(config, BITS_FIELDS)
    if told:
        return told
    for field, bits in LOAD_BITS.items():
        if config.get(field):
            return bits
    return None


def _symmetric(config: Config, weights: Config) -> bool | None:
    told = weights.get("symmetric", config.get("sym"))
    if told is None and "zero_point" in config:
        return not config["zero_point"]
    return told if isinstance(told, bool) else None


def _scheme(
    config: Config,
    group: Config,
    bits: int | None,
) -> str | None:
    if config.get("load_in_4bit"):
        kind = str(config.get("bnb_4bit_quant_type", "")).upper()
        if kind:
            return kind
    parts = []
    if bits:
        parts.append(_letters(group, bits))
    cache_bits = _whole(_object(config.get("kv_cache_scheme")).get("num_bits"))
    if cache_bits:
        parts.append(f"KV{cache_bits}")
    return " ".join(parts) or None


def _letters(group: Config, bits: int) -> str:
    """W4A16, W8A8, FP8A8, FP8 where activations stay; NVFP4 and MXFP4 as they are known."""
    weights = _object(group.get("weights"))
    is_float = weights.get("type") == "float"
    inputs = _object(group.get("input_activations"))
    block = (str(weights.get("strategy")), _whole(weights.get("group_size")) or 0)
    if is_float and bits == 4 and block in BLOCK_FLOATS:
        name = BLOCK_FLOATS[block]
        return name if inputs else f"{name}A16"
    letter = "FP" if is_float else "W"
    text = f"{letter}{bits}"
    input_bits = _whole(inputs.get("num_bits"))
    if input_bits:
        return f"{text}A{input_bits}"
    if is_float:
        return text
    return f"{text}A16"


def _first(config: Config, fields: tuple[str, ...]) -> int | None:
    for field in fields:
        found = _whole(config.get(field))
        if found:
            return found
    return None


def _object(value: object) -> Config:
    """Empty for what is none: a config may be anybody's."""
    return value if isinstance(value, dict) else {}


def _whole(value: object) -> int | None:
    """None for what is no whole number above 0; -1 is a whole row."""
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if value > 0 else None
