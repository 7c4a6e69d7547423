"""The matrices of a model that quantization is about: linear layers, Conv1D, experts, routers.

Transformers keeps the experts of a layer in one tensor, so they are no layers of their own.
Shapes: E experts, O rows and I columns (the inputs) of a matrix.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import torch
from transformers.pytorch_utils import Conv1D

OLDER_TRANSPOSED = frozenset({"Llama4TextExperts"})
"""Experts kept as EIO that do not say so (Transformers marks others with `is_transposed`)."""
ROUTER_PARTS = frozenset({"gate", "router", "shared_expert_gate", "shared_experts_gate"})
"""Names of the small matrices that choose experts, or weigh the one that all tokens pass."""


class MatrixKind(StrEnum):
    """How Transformers keeps a matrix."""

    LINEAR = "linear layers"
    CONV1D = "Conv1D layers"
    EXPERTS = "fused experts"


@dataclass(frozen=True)
class Matrix:
    """A module with a weight, or a parameter that holds one matrix for each expert."""

    name: str
    kind: MatrixKind
    rows: int
    columns: int
    copies: int = 1

    @property
    def weights(self) -> int:
        return self.rows * self.columns * self.copies


def matrices_of(model: Any) -> list[Matrix]:
    """All but embeddings, the output matrix and routers; the model may be one without weights."""
    left = {output_name(model), *routers_of(model)}
    found = []
    for name, module in model.named_modules():
        if name in left:
            continue
        if isinstance(module, torch.nn.Linear):
            rows = module.out_features
            columns = module.in_features
            found.append(Matrix(name, MatrixKind.LINEAR, rows, columns))
        elif isinstance(module, Conv1D):
            columns, rows = module.weight.shape
            found.append(Matrix(name, MatrixKind.CONV1D, rows, columns))
        elif is_experts(module):
            found += _experts_in(name, module)
    return found


def is_experts(module: torch.nn.Module) -> bool:
    """Whether it keeps matrices of several experts as its own parameters."""
    return bool(_fused_parameters(module))


def is_transposed(module: torch.nn.Module) -> bool:
    """Whether the matrices of its experts are EIO and not EOI."""
    is_old = type(module).__name__ in OLDER_TRANSPOSED
    return bool(getattr(module, "is_transposed", is_old))


def _fused_parameters(module: torch.nn.Module) -> list[tuple[str, torch.nn.Parameter]]:
    if "expert" not in type(module).__name__.lower():
        return []
    found = []
    for name, parameter in module.named_parameters(recurse=False):
        if parameter.dim() == 3 and not name.endswith("bias"):
            found.append((name, parameter))
    return found


def _experts_in(module_name: str, module: torch.nn.Module) -> list[Matrix]:
    found = []
    for name, parameter in _fused_parameters(module):
        copies, rows, columns = parameter.shape
        if is_transposed(module):
            copies, columns, rows = parameter.shape
        full = f"{module_name}.{name}"
        found.append(Matrix(full, MatrixKind.EXPERTS, rows, columns, copies))
    return found


def routers_of(model: Any) -> list[str]:
    """Names of linear layers that choose experts: by name, or small and beside the experts."""
    names = dict(model.named_modules())
    found = []
    for name, module in names.items():
        if not isinstance(module, torch.nn.Linear):
            continue
        parts = name.split(".")
        parent = names[".".join(parts[:-1])]
        if _is_named_router(parts) or _chooses_experts(parent, module):
            found.append(name)
    return found


def _is_named_router(parts: Sequence[str]) -> bool:
    return parts[-1] in ROUTER_PARTS or "router" in parts[:-1]


def _chooses_experts(parent: torch.nn.Module, module: torch.nn.Linear) -> bool:
    """Whether it has one row for each of the experts that its parent keeps."""
    for child in parent.children():
        for _, parameter in _fused_parameters(child):
            if module.out_features == parameter.shape[0]:
                return True
    return False


def output_name(model: Any) -> str:
    """The name of the matrix that makes logits; empty if there is none."""
    output = model.get_output_embeddings()
    for name, module in model.named_modules():
        if output is not None and module is output:
            return str(name)
    return ""


def is_ignored(name: str, patterns: Sequence[str]) -> bool:
    """Whether one of them names the module or one that holds it.

    `re:...` is searched for, anything else is whole parts of the name: `layers.0`, `q_proj`.
    """
    for pattern in patterns:
        if pattern.startswith("re:"):
            if re.search(pattern[3:], name):
                return True
        elif f".{pattern}." in f".{name}.":
            return True
    return False
