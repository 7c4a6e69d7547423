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
    weights = group.get("weights") or {}
    bits = weights.get("num_bits") or _bits(config)
    group_size = weights.get("group_size") or _first(config, GROUP_FIELDS)
    if not isinstance(group_size, int) or group_size <= 0:
        group_size = None
    return WeightFormat(
        scheme=_scheme(config, group, bits),
        bits=bits,
        group_size=group_size,
        symmetric=_symmetric(config, weights),
    )


def _first_group(config: Config) -> Config:
    groups = config.get("config_groups") or {}
    for group in groups.values():
        if isinstance(group, dict):
            return group
    return {}


def _bits(config: Config) -> int | None:
    told: int | None = _first(config, BITS_FIELDS)
    if told:
        return told
    for field, bits in LOAD_BITS.items():
        if config.get(field):
            return bits
    return None


def _symmetric(config: Config, weights: Config) -> bool | None:
    told: bool | None = weights.get("symmetric", config.get("sym"))
    if told is None and "zero_point" in config:
        return not config["zero_point"]
    return told


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
    if config.get("kv_cache_scheme"):
        parts.append(f"KV{config['kv_cache_scheme'].get('num_bits')}")
    return " ".join(parts) or None


def _letters(group: Config, bits: int) -> str:
    """W4A16, W8A8, FP8A8, FP8 where activations stay; NVFP4 and MXFP4 as they are known."""
    weights = group.get("weights") or {}
    is_float = weights.get("type") == "float"
    inputs = group.get("input_activations")
    block = (weights.get("strategy"), weights.get("group_size"))
    if is_float and bits == 4 and block in BLOCK_FLOATS:
        name = BLOCK_FLOATS[block]
        return name if inputs else f"{name}A16"
    letter = "FP" if is_float else "W"
    text = f"{letter}{bits}"
    if inputs:
        input_bits = inputs["num_bits"]
        return f"{text}A{input_bits}"
    if is_float:
        return text
    return f"{text}A16"


def _first(config: Config, fields: tuple[str, ...]) -> Any:  # Any: whatever the library wrote
    for field in fields:
        if config.get(field):
            return config[field]
    return None
