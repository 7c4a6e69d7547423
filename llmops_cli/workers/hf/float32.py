"""Lets a model of 16 bits compute in float32, of whose weights one layer at a time is that wide.

So what it says is as exact as its weights, and memory grows by its largest layer alone.
Shapes: V vocabulary.
"""

from typing import Any

import torch
from torch import nn

HEAD_ROWS = 4096
"""Rows of the output matrix that are widened at once."""


def compute_in_float32(model: Any) -> None:
    """Hooks the model's parts; what is no layer, embedding or head becomes float32 for good."""
    blocks = blocks_of(model)
    handled: set[int] = set()
    for block in blocks:
        handled |= {id(parameter) for parameter in block.parameters()}
        _widen_while_called(block)
    for module in model.modules():
        if isinstance(module, nn.Embedding) and id(module.weight) not in handled:
            handled.add(id(module.weight))
            _widen_read_rows(module)
    head = model.get_output_embeddings()
    if isinstance(head, nn.Linear):
        handled.add(id(head.weight))
        _widen_by_rows(head)
    for parameter in model.parameters():
        if id(parameter) not in handled:
            parameter.data = widened(parameter.data)


def blocks_of(model: nn.Module) -> list[nn.Module]:
    """The layers: members of lists of modules, but not of lists inside other layers."""
    found: list[nn.Module] = []
    waiting = [model]
    while waiting:
        module = waiting.pop()
        for child in module.children():
            if isinstance(child, nn.ModuleList):
                found += list(child)
            else:
                waiting.append(child)
    return found


def widened(tensor: torch.Tensor) -> torch.Tensor:
    """In float32, if it holds floating-point numbers."""
    return tensor.float() if tensor.is_floating_point() else tensor


def _widen_while_called(block: nn.Module) -> None:
    narrow: dict[str, torch.Tensor] = {}

    def before(module: nn.Module, _args: Any) -> None:
        for name, parameter in module.named_parameters():
            narrow[name] = parameter.data
            parameter.data = widened(parameter.data)

    def after(module: nn.Module, _args: Any, _result: Any) -> None:
        for name, parameter in module.named_parameters():
            parameter.data = narrow.pop(name)

    block.register_forward_pre_hook(before)
    block.register_forward_hook(after)


def _widen_read_rows(embedding: nn.Embedding) -> None:
    """Only rows that are read take memory: pages that nobody writes are not there."""
    narrow: list[torch.Tensor] = []

    def before(module: Any, args: Any) -> None:
        weight_VD = module.weight.data
        rows = args[0].unique()
        wide_VD = torch.empty(weight_VD.shape, dtype=torch.float32)
        wide_VD[rows] = weight_VD[rows].float()
        narrow.append(weight_VD)
        module.weight.data = wide_VD

    def after(module: Any, _args: Any, _result: Any) -> None:
        module.weight.data = narrow.pop()

    embedding.register_forward_pre_hook(before)
    embedding.register_forward_hook(after)


def _widen_by_rows(head: Any) -> None:
    def forward(hidden: torch.Tensor) -> torch.Tensor:
        blocks = head.weight.split(HEAD_ROWS)
        parts = [nn.functional.linear(hidden, rows.float()) for rows in blocks]
        logits = torch.cat(parts, dim=-1)
        if head.bias is not None:
            logits += head.bias.float()
        return logits

    head.forward = forward
