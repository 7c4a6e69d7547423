"""Optimizers by name, and all of a run's optimizers as one."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.nn import Parameter
from torch.optim import Optimizer

from train.names import named
from train.settings import Settings

ADAM_SHARE_OF_MUON = 0.25
"""Muon's rate is that of whole matrices; what AdamW keeps beside it takes a quarter."""
EMBEDDINGS = ("embed", "wte", "wpe", "lm_head")
Named = tuple[str, Parameter]
Make = Callable[[list[Named], Settings], list[Optimizer]]


def _is_matrix(named: Named) -> bool:
    """A weight matrix inside a block: what Muon and weight decay are for."""
    name, parameter = named
    is_embedding = any(part in name for part in EMBEDDINGS)
    return parameter.ndim >= 2 and not is_embedding


def _groups(named: Iterable[Named], settings: Settings) -> list[dict[str, Any]]:
    """Weight decay on matrices and embeddings, none on norms and biases."""
    decayed = []
    plain = []
    for _name, parameter in named:
        if parameter.ndim >= 2:
            decayed.append(parameter)
        else:
            plain.append(parameter)
    groups = [
        {"params": decayed, "weight_decay": settings.weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def _adamw(named: list[Named], settings: Settings) -> list[Optimizer]:
    groups = _groups(named, settings)
    betas = (settings.beta1, settings.beta2)
    return [torch.optim.AdamW(groups, lr=settings.learning_rate, betas=betas)]


def _muon(named: list[Named], settings: Settings) -> list[Optimizer]:
    """Muon for the matrices inside the blocks, AdamW for embeddings and norms."""
    matrices = [each for each in named if _is_matrix(each)]
    rest = [parameter for name, parameter in named if not _is_matrix((name, parameter))]
    muon = torch.optim.Muon(
        [parameter for _, parameter in matrices],
        lr=settings.learning_rate,
        momentum=0.95,
        weight_decay=settings.weight_decay,
        adjust_lr_fn="original",
    )
    adam = torch.optim.AdamW(
        rest,
        lr=settings.learning_rate * ADAM_SHARE_OF_MUON,
        betas=(settings.beta1, settings.beta2),
        weight_decay=0.0,
    )
    return [muon, adam]


OPTIMIZERS: dict[str, Make] = {
    "adamw": _adamw,
    "muon": _muon,
}


class Optimizers:
    """All optimizers of a model as one, at rates that follow the schedule."""

    def __init__(self, model: Any, settings: Settings) -> None:
        make = named(OPTIMIZERS, settings.optimizer, "optimizer")
        parameters = [each for each in model.named_parameters() if each[1].requires_grad]
        self._parameters = [parameter for _, parameter in parameters]
        self._optimizers = make(parameters, settings)
        self._peaks = []
        for optimizer in self._optimizers:
            for group in optimizer.param_groups:
                self._peaks.append((group, group["lr"]))

    def clip(self, most: float) -> float:
        """The norm of all gradients, before they are scaled to at most `most`; 0 scales nothing."""
        bound = most if most > 0 else float("inf")
        return float(torch.nn.utils.clip_grad_norm_(self._parameters, bound))

    def step(self, factor: float) -> None:
        for group, peak in self._peaks:
            group["lr"] = peak * factor
        for optimizer in self._optimizers:
            optimizer.step()
        self.drop_gradients()

    def drop_gradients(self) -> None:
        for optimizer in self._optimizers:
            optimizer.zero_grad()

    def state(self) -> list[dict[str, Any]]:
        return [optimizer.state_dict() for optimizer in self._optimizers]

    def restore(self, states: list[dict[str, Any]]) -> None:
        for optimizer, state in zip(self._optimizers, states, strict=True):
            optimizer.load_state_dict(state)
