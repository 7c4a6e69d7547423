"""The weights of a model by name: which there are, how they begin, how they come from a folder.

A weight that is new is a function of the seed and of its module's name alone, so every layout makes
the same one, and no rank needs the others' weights for its own.
"""

from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any

import torch
from torch import Tensor

from train.layout import local_part
from train.seeds import draw_from


def weights_of(model: Any) -> dict[str, Tensor]:
    """Parameters and buffers that are saved, tied ones once, by the names of a whole model."""
    weights: dict[str, Tensor] = dict(model.named_parameters())
    for prefix, module in model.named_modules():
        for name, buffer in _saved_buffers(module):
            full_name = f"{prefix}.{name}".lstrip(".")
            weights[full_name] = buffer
    return weights


def _saved_buffers(module: Any) -> Iterator[tuple[str, Tensor]]:
    """Of the module itself, by its own names."""
    unsaved = module._non_persistent_buffers_set  # noqa: SLF001  torch has no other way
    for name, buffer in module.named_buffers(recurse=False):
        if name not in unsaved:
            yield name, buffer


@torch.no_grad()
def copy_into(weights: Mapping[str, Tensor], source: Mapping[str, Tensor]) -> None:
    """Both spread alike; a tensor that is already the same memory stays."""
    for name, weight in weights.items():
        own = local_part(weight)
        new = local_part(source[name])
        own.copy_(new)


@torch.no_grad()
def initialise(model: Any, seed: int, *, below: str = "", recurses: bool = True) -> None:
    """First weights and buffers, in place, of the module `below` and all in it."""
    named = [(below, model.get_submodule(below))]
    if recurses:
        named = [each for each in model.named_modules() if _is_below(each[0], below)]
    # Children first: GPT-2's blocks give some of their children's weights another scale.
    for name, module in reversed(named):
        draw_from(_seed_of(seed, name))
        model._init_weights(module)  # noqa: SLF001  Transformers' own; it has no other name


def _is_below(name: str, below: str) -> bool:
    return not below or name == below or name.startswith(f"{below}.")


def _seed_of(seed: int, name: str) -> int:
    drawn_by = f"{seed}:{name}"
    digest = sha256(drawn_by.encode()).digest()
    return int.from_bytes(digest[:7], "little")
