"""What a user names as a model -> ServedModel: a config.json, a folder, a GGUF file, a name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.core.python_json import object_in
from llmops_cli.core.wrong_json import UNREADABLE, wrong_in
from llmops_cli.models.config import read_config
from llmops_cli.runtime.paths import end_of
from llmops_cli.sizing.architecture import Architecture, Attention, Block
from llmops_cli.sizing.config_values import count_in
from llmops_cli.sizing.families import (
    architecture_of,
    is_plain,
    require_attention,
    text_part,
)
from llmops_cli.sizing.gguf_mix import gguf_shape
from llmops_cli.sizing.parameters import Tensor, tensors_of
from llmops_cli.sizing.served import Layer, ServedModel, of_tensors
from llmops_cli.sizing.towers import VISION, tower_parameters

MTP = "mtp"
MTP_KEYS = (
    "num_nextn_predict_layers",
    "num_mtp_layers",
    "mtp_num_hidden_layers",
    "num_mtp_modules",
)
Config = Mapping[str, Any]  # Any: each architecture has fields of its own


def read_model(source: str) -> ServedModel:
    """Of a folder, a config.json or a .gguf file (any part of one in several).

    Raises: UsageError for what is not there, or no decoder.
    """
    path = Path(source)
    if path.suffix == ".gguf" and path.is_file():
        from llmops_cli.models.gguf.parts import require_model
        from llmops_cli.sizing.served_gguf import served_gguf

        return served_gguf(require_model(path))
    if path.is_dir():
        return served_model(read_config(path), name=end_of(source), source=source)
    if path.name.endswith(".json") and path.is_file():
        return served_model(read_json(path), name=end_of(str(path.parent)), source=source)
    raise UsageError(f"no model at {source}", hint="a folder, a config.json or a .gguf file")


def read_json(path: Path) -> dict[str, Any]:  # Any: a config's values
    """Raises: UsageError for a file that holds no JSON object."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    try:
        return object_in(raw)
    except UNREADABLE:
        reason = wrong_in(raw, dict[str, Any])
        raise UsageError(f"{path} is not JSON of a model: {reason}", hint="a config.json") from None


def served_model(config: Config, *, name: str, source: str) -> ServedModel:
    """Its text part; what lies beside that is named in `notes`.

    Raises: UsageError for a config that lacks what every decoder's has.
    """
    model = _text_model(config, name=name, source=source)
    extra = _extra_parameters(config, model)
    notes = (*model.notes, *_left_out(config, extra))
    return msgspec.structs.replace(model, notes=notes, extra_parameters=extra)


def _extra_parameters(config: Config, model: ServedModel) -> dict[str, int]:
    """Of a tower for pictures, and of layers that predict further tokens.

    Those are a block each, and what joins it to the text before; tables of words and the head are
    the model's own (arXiv:2412.19437, section 2.2).
    """
    found = {}
    tower = tower_parameters(config, model.hidden_size)
    if tower is not None:
        found[VISION] = tower
    count = _predicting_layers(text_part(config))
    numbers = [tensor.layer for tensor in model.tensors if tensor.layer is not None]
    if not count or not numbers:
        return found
    last = max(numbers)
    size = model.hidden_size
    joining = 2 * size * size + 3 * size
    block = sum(tensor.elements for tensor in model.tensors if tensor.layer == last)
    return {**found, MTP: count * (block + joining)}


def _predicting_layers(config: Config) -> int:
    """Under the names that families have for it."""
    return next((count for count in (count_in(config, key) for key in MTP_KEYS) if count), 0)


def _text_model(config: Config, *, name: str, source: str) -> ServedModel:
    if not is_plain(text_part(config)):
        from llmops_cli.sizing.mixed import served_mixed
        from llmops_cli.sizing.mixed_families import mixed_model

        mixed = mixed_model(text_part(config))
        if mixed is not None:
            return served_mixed(mixed, name=name, source=source, dtype=own_dtype(config))
        require_attention(text_part(config))
    architecture = architecture_of(config)
    layers = tuple(_layer(block) for block in architecture.blocks)
    return assembled(
        architecture,
        tensors_of(architecture),
        layers,
        name=name,
        source=source,
        dtype=own_dtype(config),
    )


def _left_out(config: Config, extra: Mapping[str, int]) -> tuple[str, ...]:
    """Parts that a config tells of and that are in no other number."""
    towers = [key for key in ("vision_config", "audio_config") if config.get(key) is not None]
    if VISION in extra:
        towers.remove("vision_config")
    notes = [f"the tower of '{key}' is not counted: its weights come on top" for key in towers]
    if MTP in extra:
        notes.append(
            f"layers that predict further tokens (MTP) are not counted: {extra[MTP] / 1e9:.1f}B "
            "parameters come on top where an engine loads them to draft"
        )
    return tuple(notes)


def assembled(
    architecture: Architecture,
    tensors: tuple[Tensor, ...],
    layers: tuple[Layer, ...],
    *,
    name: str,
    source: str,
    dtype: str,
) -> ServedModel:
    return of_tensors(
        tensors,
        name=name,
        source=source,
        model_type=architecture.model_type,
        hidden_size=architecture.hidden_size,
        vocab_size=architecture.vocab_size,
        layers=layers,
        dtype=dtype,
        gguf=gguf_shape(architecture),
        context=architecture.max_positions,
        heads=min(block.attention.heads for block in architecture.blocks),
        is_tied=architecture.is_tied,
        is_guess=architecture.is_guess,
        notes=architecture.notes,
    )


def own_dtype(config: Config) -> str:
    """As the config has it; 16 bits where it does not tell."""
    told = config.get("dtype") or config.get("torch_dtype")
    told = told or text_part(config).get("dtype") or text_part(config).get("torch_dtype")
    names = {"float32": "F32", "float": "F32", "float16": "F16", "bfloat16": "BF16"}
    return names.get(str(told).removeprefix("torch."), "BF16")


def _layer(block: Block) -> Layer:
    attention = block.attention
    latent = attention.latent
    if latent is not None:
        values = latent.kv_rank + latent.rotary_dim
        return Layer(
            kind="latent",
            token_values=values,
            attention_flops=_score_flops(attention),
            cache_heads=1,
        )
    return Layer(
        kind="full" if attention.window is None else "window",
        token_values=attention.key_size + attention.value_size,
        window=attention.window,
        attention_flops=_score_flops(attention),
        cache_heads=attention.kv_heads,
    )


def _score_flops(attention: Attention) -> float:
    """Two products of two operations each."""
    return 2.0 * attention.heads * (attention.head_dim + attention.value_dim)
