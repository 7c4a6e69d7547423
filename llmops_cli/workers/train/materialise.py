"""A model that was spread over ranks while it had no memory gets this rank's part of its weights.

No rank ever holds more of the model than its own part and one block: weights come from the files
piece by piece, or are drawn block by block as one process draws them.
"""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module

from train.blocks import blocks_of
from train.layout import local_part, own_slices
from train.model import folder_model, new_model
from train.settings import Settings
from train.weights import initialise, weights_of
from train.weights_reader import WeightsReader

META = torch.device("meta")


def is_without_memory(model: Any) -> bool:
    return any(parameter.device == META for parameter in model.parameters())


@torch.no_grad()
def materialise(model: Any, settings: Settings, device: torch.device) -> None:
    """In place; a model that has memory stays as it is."""
    if not is_without_memory(model):
        return
    ties = _ties_of(model)
    model.to_empty(device=device)
    _tie(ties)
    targets = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    config = _config_as_made(model)
    if settings.model is None:
        _draw(targets, config, settings)
        return
    buffers = set(targets) - set(weights_of(model))
    _draw({name: targets[name] for name in buffers}, config, settings)
    _read({name: targets[name] for name in targets if name not in buffers}, settings)


def _config_as_made(model: Any) -> Any:
    """With the padding that the embedding was made with, whose row begins as zeros.

    The tokenizer's is written into the config only later, for whoever loads the model.
    """
    config = deepcopy(model.config)
    embedding = model.get_input_embeddings()
    config.get_text_config().pad_token_id = getattr(embedding, "padding_idx", None)
    return config


def _read(targets: Mapping[str, Tensor], settings: Settings) -> None:
    """Slices of the files; where names are others, the whole model as Transformers reads it."""
    assert settings.model is not None
    reader = WeightsReader.of(Path(settings.model), targets)
    if reader is None:
        source = weights_of(folder_model(settings))
        for name, target in targets.items():
            _fill(target, source[name])
        return
    for name, target in targets.items():
        local = local_part(target)
        if local.numel():
            local.copy_(reader.read(name, own_slices(target)))


def _draw(targets: Mapping[str, Tensor], config: Any, settings: Settings) -> None:
    """What begins anew, from a second model of which one block at a time has memory."""
    if not targets:
        return
    skeleton = new_model(config, settings, device=META)
    for prefix, unit, recurses in _units(skeleton):
        names = [name for name, _ in _tensors(unit, recurses=recurses)]
        wanted = [name for name in names if f"{prefix}.{name}" in targets]
        if not wanted:
            continue
        unit.to_empty(device=torch.device("cpu"), recurse=recurses)
        initialise(skeleton, settings.seed, below=prefix, recurses=recurses)
        drawn = dict(_tensors(unit, recurses=recurses))
        for name in wanted:
            _fill(targets[f"{prefix}.{name}"], drawn[name])
        unit.to_empty(device=META, recurse=recurses)


def _units(model: Any) -> Iterator[tuple[str, Module, bool]]:
    """Blocks whole, and every module beside them with what it has itself."""
    blocks = {id(block) for block in blocks_of(model)}
    inside: tuple[str, ...] = ()
    for name, module in model.named_modules():
        if id(module) in blocks:
            inside = (*inside, f"{name}.")
            yield name, module, True
        elif not name.startswith(inside):
            yield name, module, False


def _tensors(module: Module, *, recurses: bool) -> Iterator[tuple[str, Tensor]]:
    yield from module.named_parameters(recurse=recurses)
    yield from module.named_buffers(recurse=recurses)


def _fill(target: Tensor, source: Tensor) -> None:
    local_part(target).copy_(source[own_slices(target)])


def _ties_of(model: Any) -> list[list[tuple[Module, str]]]:
    """Modules and names that share a parameter."""
    places: dict[int, list[tuple[Module, str]]] = {}
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            places.setdefault(id(parameter), []).append((module, name))
    return [shared for shared in places.values() if len(shared) > 1]


def _tie(ties: list[list[tuple[Module, str]]]) -> None:
    for (first, first_name), *others in ties:
        for module, name in others:
            setattr(module, name, getattr(first, first_name))
