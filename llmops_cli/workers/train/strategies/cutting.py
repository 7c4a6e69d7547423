"""A causal model cut into the consecutive stages of a pipeline, without a word of its own code.

A stage is the model itself with the parts of other stages taken out: blocks that let everything
pass, no embedding, no norm. So its own forward pass makes masks and position embeddings, windows
of single layers included, and every parameter keeps its whole name.
"""

import copy
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from _shared.protocol import JobError

GPT2_PARTS = (("wte", "wpe", "drop"), "h", ("ln_f",))
OWN_PARTS = {"gpt2": GPT2_PARTS, "gpt_bigcode": GPT2_PARTS}
"""By model type, for families whose configuration has no `base_model_pp_plan`."""


class Parts(NamedTuple):
    """Names of the children of a base model, in the order in which they run."""

    first: tuple[str, ...]
    blocks: str
    last: tuple[str, ...]


class Cut(NamedTuple):
    """The blocks of one stage: `begin` to `end` - 1."""

    begin: int
    end: int
    is_first: bool
    is_last: bool


class Passing(nn.Module):
    """In the place of a block, or of a norm, that another stage has."""

    def forward(self, hidden_BTD: Tensor, *others: Any, **named: Any) -> Tensor:
        del others, named
        return hidden_BTD


class Nothing(nn.Module):
    """In the place of learned positions, which the first stage has added."""

    def forward(self, positions_BT: Tensor) -> Tensor:
        return torch.zeros((), device=positions_BT.device)


def parts_of(model: Any) -> Parts:
    """Raises: JobError for a model whose parts are not known by name."""
    kind = model.config.model_type
    parts = Parts(*OWN_PARTS[kind]) if kind in OWN_PARTS else _planned(model)
    known = {*parts.first, parts.blocks, *parts.last}
    for name, child in model.base_model.named_children():
        is_known = name in known or not any(True for _ in child.parameters())
        if not is_known:
            raise _cannot_cut(model, f"no stage is known for its part '{name}'")
    return parts


def _planned(model: Any) -> Parts:
    """The parts by Transformers' own plan."""
    names = list(getattr(model.config, "base_model_pp_plan", None) or ())
    base = model.base_model
    stacks = [name for name in names if isinstance(getattr(base, name, None), nn.ModuleList)]
    if len(stacks) != 1:
        raise _cannot_cut(model, "Transformers has no plan for its stages")
    place = names.index(stacks[0])
    return Parts(tuple(names[:place]), stacks[0], tuple(names[place + 1 :]))


def _cannot_cut(model: Any, why: str) -> JobError:
    message = f"a model of type '{model.config.model_type}' cannot be cut into stages: {why}"
    return JobError("UsageError", message, "--strategy fsdp")


def cuts_of(model: Any, parts: Parts, count: int) -> list[Cut]:
    """`count` stages of about the same number of parameters, embedding and head included.

    Raises: JobError if there are fewer blocks than stages.
    """
    base = model.base_model
    sizes = [_size(block) for block in getattr(base, parts.blocks)]
    if len(sizes) < count:
        message = f"{count} pipeline stages need as many blocks, and the model has {len(sizes)}"
        raise JobError("UsageError", message, "fewer stages: a smaller --pipeline-parallel")
    sizes[0] += sum(_size(getattr(base, name)) for name in parts.first)
    sizes[-1] += sum(_size(getattr(base, name)) for name in parts.last)
    sizes[-1] += _size(model.get_output_embeddings())
    bounds = balanced(sizes, count)
    cuts = []
    for begin, end in zip([0, *bounds], [*bounds, len(sizes)], strict=True):
        cut = Cut(begin, end, is_first=begin == 0, is_last=end == len(sizes))
        cuts.append(cut)
    return cuts


def _size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def balanced(sizes: Sequence[int], count: int) -> list[int]:
    """Where to cut, so that the largest of `count` consecutive groups is as small as can be.

    No group is empty.
    """
    ends = list(accumulate(sizes))
    total = len(sizes)
    # least[n] for the first n sizes: the largest group, and where the last one begins.
    least = [(ends[number], 0) for number in range(total)]
    steps = [least]
    for group in range(1, count):
        now = [(ends[-1] + 1, 0)] * total
        for number in range(group, total):
            choices = []
            for begin in range(group, number + 1):
                size = ends[number] - ends[begin - 1]
                before, _ = least[begin - 1]
                choices.append((max(before, size), begin))
            now[number] = min(choices)
        least = now
        steps.append(least)
    bounds = []
    end = total - 1
    for choices in reversed(steps[1:]):
        _, begin = choices[end]
        bounds.append(begin)
        end = begin - 1
    return bounds[::-1]


def stage_of(model: Any, parts: Parts, cut: Cut) -> Any:
    """The model with the blocks of `cut` alone; its modules are those of `model`, not copies."""
    stage = _shallow(model)
    base = _shallow(model.base_model)
    setattr(stage, model.base_model_prefix, base)
    keep(stage, parts, [cut])
    return stage


def keep(model: Any, parts: Parts, cuts: Sequence[Cut]) -> None:
    """Takes out of `model` all that no stage of `cuts` has."""
    base = model.base_model
    owned = {number for cut in cuts for number in range(cut.begin, cut.end)}
    blocks = nn.ModuleList()
    for number, block in enumerate(getattr(base, parts.blocks)):
        blocks.append(block if number in owned else Passing())
    setattr(base, parts.blocks, blocks)
    if not any(cut.is_first for cut in cuts):
        for name in parts.first:
            setattr(base, name, _without(getattr(base, name), base))
    if not any(cut.is_last for cut in cuts):
        for name in parts.last:
            setattr(base, name, Passing())
        model.set_output_embeddings(None)


def _without(part: nn.Module, base: Any) -> nn.Module | None:
    """What stands for a part of the first stage in all others."""
    if part is base.get_input_embeddings():
        return None
    if isinstance(part, nn.Embedding):
        return Nothing()
    return Passing()


def _shallow(module: Any) -> Any:
    """Another module with the same children, of which each can be replaced."""
    clone = copy.copy(module)
    clone._modules = dict(module._modules)  # noqa: SLF001 - the table that copy shares
    return clone
