"""Parameters of the towers that read pictures, and of what joins them to the text model.

Source: modeling_*.py of Transformers 5, whose counts tests/data/towers.json has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from llmops_cli.sizing.config_values import Config, is_set, size_in

VISION = "vision"
MERGE = 2
"""Patches of a side that become one token, where a config does not tell."""


def tower_parameters(config: Config, text_size: int) -> int | None:
    """None where the config has no such tower, or one of a kind that is not counted here.

    `text_size`: the hidden size of the text model. Raises: UsageError for sizes that are none.
    """
    told = config.get("vision_config")
    if not isinstance(told, Mapping):
        return None
    part = {key: _side(value) for key, value in told.items()}
    count = TOWERS.get(str(part.get("model_type") or OUTER.get(str(config.get("model_type")))))
    if count is None or not part:
        return None
    return count(part, config, text_size)


def _side(value: object) -> object:
    """A square's two sides may be a list."""
    is_square = isinstance(value, list) and len(value) == 2 and value[0] == value[1]
    return value[0] if isinstance(value, list) and is_square else value


def _linear(inputs: int, outputs: int, *, bias: bool = True) -> int:
    return inputs * outputs + (outputs if bias else 0)


def _network(size: int, width: int) -> int:
    """One matrix up and one down, with biases."""
    return _linear(size, width) + _linear(width, size)


def _block(size: int, width: int, *, attention_bias: bool = True) -> int:
    """Two layer norms, four matrices of attention, a network."""
    return 4 * size + 4 * _linear(size, size, bias=attention_bias) + _network(size, width)


def _patches(part: Config) -> int:
    """Numbers of one patch of a picture, or of two frames."""
    channels = size_in(part, "in_channels", size_in(part, "in_chans", 3))
    return channels * size_in(part, "temporal_patch_size", 2) * size_in(part, "patch_size") ** 2


def _picture(part: Config) -> int:
    return size_in(part, "num_channels", 3) * size_in(part, "patch_size") ** 2


def _grid(part: Config) -> int:
    """Patches of a whole picture."""
    side: int = size_in(part, "image_size") // size_in(part, "patch_size")
    return side**2


def _merger(part: Config, size: int, output: int) -> int:
    wide = size * size_in(part, "spatial_merge_size", MERGE) ** 2
    return _linear(wide, wide) + _linear(wide, output)


def _qwen2_vl(part: Config, _config: Config, text_size: int) -> int:
    size = size_in(part, "embed_dim", 1280)
    width = size * size_in(part, "mlp_ratio", 4)
    blocks = size_in(part, "depth", 32) * _block(size, width)
    output = size_in(part, "hidden_size", text_size)
    patches = _patches({"patch_size": 14, **part}) * size
    return patches + blocks + 2 * size + _merger(part, size, output)


def _qwen2_5_vl(part: Config, _config: Config, text_size: int) -> int:
    size = size_in(part, "hidden_size", 3584)
    width = size_in(part, "intermediate_size", 3420)
    gated = 2 * _linear(size, width) + _linear(width, size)
    block = 2 * size + 4 * _linear(size, size) + gated
    output = size_in(part, "out_hidden_size", text_size)
    patches = _patches({"patch_size": 14, **part}) * size
    return patches + size_in(part, "depth", 32) * block + size + _merger(part, size, output)


def _qwen3_vl(part: Config, _config: Config, text_size: int) -> int:
    size = size_in(part, "hidden_size", 1152)
    blocks = size_in(part, "depth", 27) * _block(size, size_in(part, "intermediate_size", 4304))
    output = size_in(part, "out_hidden_size", text_size)
    places = size_in(part, "num_position_embeddings", 2304) * size
    wide = size * size_in(part, "spatial_merge_size", MERGE) ** 2
    merger = _merger(part, size, output)
    listed = part.get("deepstack_visual_indexes")
    deep = len(listed) if isinstance(listed, list | tuple) else 0
    patches = _linear(_patches({"patch_size": 16, **part}), size)
    return patches + places + blocks + 2 * size + merger + deep * (2 * wide + merger)


def _mllama(part: Config, _config: Config, text_size: int) -> int:
    size = size_in(part, "hidden_size")
    width = size_in(part, "intermediate_size", 5120)
    whole = size_in(part, "num_global_layers", 8)
    tiles = size_in(part, "max_num_tiles", 4)
    ratios = part.get("supported_aspect_ratios")
    kinds = (len(ratios) if isinstance(ratios, list) else 8) + 1
    places = _grid(part) + 1
    blocks = (size_in(part, "num_hidden_layers", 32) + whole) * _block(
        size, width, attention_bias=False
    )
    tables = places * size + kinds * tiles * places * size + 2 * kinds * tiles * size
    gates = 2 * whole + 3
    joined = _linear(size_in(part, "vision_output_dim", 7680), text_size)
    return _picture(part) * size + size + tables + gates + 4 * size + blocks + joined


def _llama4(part: Config, _config: Config, text_size: int) -> int:
    size = size_in(part, "hidden_size")
    width = size_in(part, "intermediate_size", 5632)
    blocks = size_in(part, "num_hidden_layers", 34) * _block(size, width)
    places = (_grid(part) + 1) * size
    inner = size_in(part, "projector_input_dim", 4096)
    outer = size_in(part, "projector_output_dim", 4096)
    adapter = width * inner + outer * outer
    joined = size_in(part, "vision_output_dim", 7680) * text_size
    return _picture(part) * size + size + places + 4 * size + blocks + adapter + joined


def _siglip(part: Config, config: Config, text_size: int) -> int:
    size = size_in(part, "hidden_size")
    width = size_in(part, "intermediate_size", 3072)
    blocks = size_in(part, "num_hidden_layers", 12) * _block(size, width)
    tower = _linear(_picture(part), size) + _grid(part) * size + blocks + 2 * size
    if is_set(part, "vision_use_head", default=True):
        tower += size + 4 * _linear(size, size) + 2 * size + _network(size, width)
    if config.get("model_type") == "gemma3":
        return tower + size * text_size + size
    if config.get("model_type") == "paligemma":
        return tower + _linear(size, size_in(config, "projection_dim", text_size))
    return tower + _joined(config, size, text_size)


def _clip(part: Config, config: Config, text_size: int) -> int:
    size = size_in(part, "hidden_size")
    width = size_in(part, "intermediate_size", 3072)
    blocks = size_in(part, "num_hidden_layers", 12) * _block(size, width)
    tables = _picture(part) * size + size + (_grid(part) + 1) * size
    return tables + 4 * size + blocks + _joined(config, size, text_size)


def _pixtral(part: Config, config: Config, text_size: int) -> int:
    size = size_in(part, "hidden_size")
    width = size_in(part, "intermediate_size", 4096)
    block = 2 * size + 4 * size * size + 3 * size * width
    blocks = size_in(part, "num_hidden_layers", 24) * block
    tower = _picture({"patch_size": 16, **part}) * size + size + blocks
    if config.get("model_type") == "mistral3":
        merged = size_in(config, "spatial_merge_size", MERGE) ** 2
        tower += size + merged * size * size
        return tower + _joined(config, size, text_size, bias=False)
    return tower + _joined(config, size, text_size)


def _joined(config: Config, size: int, text_size: int, *, bias: bool = True) -> int:
    """LLaVA's two matrices, and LLaVA-NeXT's sign for a new line."""
    layers = config.get("vision_feature_layer")
    ways = len(layers) if isinstance(layers, list) and layers else 1
    has_bias = is_set(config, "multimodal_projector_bias", default=bias)
    joined = _linear(ways * size, text_size, bias=has_bias)
    joined += _linear(text_size, text_size, bias=has_bias)
    return joined + (text_size if config.get("model_type") == "llava_next" else 0)


Count = Callable[[Mapping[str, Any], Mapping[str, Any], int], int]  # Any: a config's values
TOWERS: dict[str, Count] = {
    "qwen2_vl": _qwen2_vl,
    "qwen2_vl_vision": _qwen2_vl,
    "qwen2_5_vl": _qwen2_5_vl,
    "qwen2_5_vl_vision": _qwen2_5_vl,
    "qwen3_vl": _qwen3_vl,
    "qwen3_vl_vision": _qwen3_vl,
    "qwen3_vl_moe": _qwen3_vl,
    "qwen3_vl_moe_vision": _qwen3_vl,
    "qwen3_5": _qwen3_vl,
    "qwen3_5_vision": _qwen3_vl,
    "qwen3_5_moe": _qwen3_vl,
    "qwen3_5_moe_vision": _qwen3_vl,
    "mllama_vision_model": _mllama,
    "llama4_vision_model": _llama4,
    "siglip_vision_model": _siglip,
    "clip_vision_model": _clip,
    "pixtral": _pixtral,
}
OUTER = {
    "qwen2_vl": "qwen2_vl",
    "qwen2_5_vl": "qwen2_5_vl",
    "qwen3_vl": "qwen3_vl",
    "qwen3_vl_moe": "qwen3_vl",
    "qwen3_5": "qwen3_vl",
    "qwen3_5_moe": "qwen3_vl",
    "mllama": "mllama_vision_model",
    "llama4": "llama4_vision_model",
    "gemma3": "siglip_vision_model",
    "mistral3": "pixtral",
}
"""A tower that names no family of its own, by the family of the whole."""
