"""A model that was spread over ranks while it had no memory gets this rank's part of its weights.

No rank ever holds more of the model than its own part and one block: weights come from the files
piece by piece, or are drawn block by block as one process draws them.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module, Parameter

from train.blocks import blocks_of
from train.layout import local_part, own_slices
from train.model import folder_model, make_config, new_model
from train.settings import Settings
from train.weights import initialise, weights_of
from train.weights_reader import WeightsReader

META = torch.device("meta")


def is_without_memory(model: Any) -> bool:
    return any(parameter.device == META for parameter in model.parameters())


@torch.no_grad()
def materialise(
    model: Any,
    settings: Settings,
    device: torch.device,
    *,
    roots: Sequence[Module] = (),
    whole_name: Callable[[str], str] = str,
) -> None:
    """In place; a model that has memory stays as it is.

    roots: the modules by which it was spread, where that is not `model` itself. whole_name: from
    this rank's names to those of one process's model.
    """
    if not is_without_memory(model):
        return
    ties = _ties_of(model)
    first = _FirstWeights(model, settings, {whole_name(name) for name in weights_of(model)})
    for root in roots or [model]:
        root.to_empty(device=device)
    _tie(ties)
    named = [*model.named_parameters(), *model.named_buffers()]
    first.fill({whole_name(name): tensor for name, tensor in named})


@torch.no_grad()
def materialise_by_unit(
    model: Any,
    settings: Settings,
    device: torch.device,
    take: Callable[[list[Parameter]], None],
) -> None:
    """In place, one block after the other; `take` has a block's parameters before the next is made.

    It may leave of them what it likes, and keeps their shapes elsewhere.
    """
    ties = _ties_of(model)
    first = _FirstWeights(model, settings, set(weights_of(model)))
    wanted = {name for name, _ in (*model.named_parameters(), *model.named_buffers())}
    for prefix, unit, recurses in _units(model):
        names = [f"{prefix}.{name}" for name, _ in _tensors(unit, recurses=recurses)]
        if wanted.isdisjoint(names):
            continue
        unit.to_empty(device=device, recurse=recurses)
        made = {f"{prefix}.{name}": each for name, each in _tensors(unit, recurses=recurses)}
        first.fill({name: each for name, each in made.items() if name in wanted})
        take([each for each in made.values() if isinstance(each, Parameter)])
    _tie(ties)


class _FirstWeights:
    """Where a model's tensors come from, `saved` ones by the names that a folder has for them."""

    def __init__(self, model: Any, settings: Settings, saved: set[str]) -> None:
        # As it was made: the tokenizer's padding, whose row begins as zeros, came into it later.
        config = make_config(settings, model.config.get_text_config().vocab_size)
        self._settings = settings
        self._skeleton = new_model(config, settings, device=META)
        self._saved = saved
        self._reader = None
        self._folders: dict[str, Tensor] = {}
        if settings.model is None:
            self._saved = set()
            return
        self._reader = WeightsReader.of(Path(settings.model), saved)
        if self._reader is None:
            # Names are others: the whole model, as Transformers reads it.
            self._folders = weights_of(folder_model(settings))

    def fill(self, targets: Mapping[str, Tensor]) -> None:
        """By the names of one process's model."""
        self._draw({name: each for name, each in targets.items() if name not in self._saved})
        for name, target in targets.items():
            if name in self._saved:
                self._read(name, target)

    def _read(self, name: str, target: Tensor) -> None:
        local = local_part(target)
        if not local.numel():
            return
        slices = own_slices(target)
        if self._reader is None:
            local.copy_(self._folders[name][slices])
        else:
            local.copy_(self._reader.read(name, slices))

    def _draw(self, targets: Mapping[str, Tensor]) -> None:
        """What begins anew, from a second model of which one block at a time has memory."""
        if not targets:
            return
        for prefix, unit, recurses in _units(self._skeleton):
            names = [name for name, _ in _tensors(unit, recurses=recurses)]
            wanted = [name for name in names if f"{prefix}.{name}" in targets]
            if not wanted:
                continue
            unit.to_empty(device=torch.device("cpu"), recurse=recurses)
            initialise(self._skeleton, self._settings.seed, below=prefix, recurses=recurses)
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
