"""Optimizers by name, and all of a run's optimizers as one.

They step the part of each parameter that this rank holds, as plain tensors: nothing but Muon and
Adafactor needs more than its own elements, and those gather what they need.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Optimizer

from _shared.protocol import JobError
from train.adafactor import Adafactor
from train.eight_bit import BY_ROWS, AdamW8bit
from train.layout import (
    has_whole_rows,
    is_spread,
    local_part,
    rows_spread_like,
    spread_like,
    whole_shape,
)
from train.muon import Muon
from train.names import named
from train.norms import clip_factor, global_norm, scale
from train.precision import DTYPES
from train.settings import Settings

ADAM_SHARE_OF_MUON = 0.25
"""Muon's rate is that of whole matrices; what AdamW keeps beside it takes a quarter."""
EMBEDDINGS = ("embed", "wte", "wpe", "lm_head")


class Piece(NamedTuple):
    """One parameter, and the part of it that an optimizer steps on this rank.

    `part` shares the memory of `parameter`, or is a copy in main memory (offloaded).
    """

    name: str
    parameter: Parameter
    part: Parameter
    is_offloaded: bool


Make = Callable[[list[Piece], Settings], list[Optimizer]]


def pieces_of(model: Any, *, offloads: bool = False) -> list[Piece]:
    """What is trained of `model`, tied parameters once, by the names of one process's model."""
    trained = [each for each in model.named_parameters() if each[1].requires_grad]
    pieces = []
    for name, parameter in trained:
        part = parameter
        if offloads:
            part = Parameter(local_part(parameter).detach().to("cpu", copy=True))
        elif is_spread(parameter):
            part = Parameter(local_part(parameter))
        pieces.append(Piece(name, parameter, part, offloads))
    return pieces


def _is_matrix(piece: Piece) -> bool:
    """A weight matrix inside a block: what Muon is for."""
    is_embedding = any(part in piece.name for part in EMBEDDINGS)
    return piece.part.ndim == 2 and not is_embedding


def decay_groups(pieces: Iterable[Piece], settings: Settings) -> list[dict[str, Any]]:
    """Weight decay on matrices, embeddings among them, and none on norms and biases."""
    decayed = []
    plain = []
    for piece in pieces:
        if len(whole_shape(piece.part)) >= 2:
            decayed.append(piece.part)
        else:
            plain.append(piece.part)
    groups = [
        {"params": decayed, "weight_decay": settings.weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def _adamw(pieces: list[Piece], settings: Settings) -> list[Optimizer]:
    betas = (settings.beta1, settings.beta2)
    groups = decay_groups(pieces, settings)
    return [torch.optim.AdamW(groups, lr=settings.learning_rate, betas=betas, fused=True)]


def _adamw_8bit(pieces: list[Piece], settings: Settings) -> list[Optimizer]:
    """Raises: JobError where columns are spread over ranks, which blocks of a row go across."""
    for piece in pieces:
        if not has_whole_rows(piece.parameter):
            message = f"'adamw8bit' needs whole rows, and '{piece.name}' is cut into columns"
            raise JobError("UsageError", message, "--optimizer adamw, or --strategy fsdp")
    betas = (settings.beta1, settings.beta2)
    groups = decay_groups(pieces, settings)
    return [AdamW8bit(groups, lr=settings.learning_rate, betas=betas)]


def _adafactor(pieces: list[Piece], settings: Settings) -> list[Optimizer]:
    parts = [piece.part for piece in pieces]
    spread = [piece.parameter for piece in pieces]
    groups = decay_groups(pieces, settings)
    return [Adafactor(groups, dict(zip(parts, spread, strict=True)), lr=settings.learning_rate)]


def _muon(pieces: list[Piece], settings: Settings) -> list[Optimizer]:
    """Muon for the matrices inside the blocks, AdamW for embeddings, norms and biases."""
    matrices = [piece for piece in pieces if _is_matrix(piece)]
    rest = [piece.part for piece in pieces if not _is_matrix(piece)]
    optimizers: list[Optimizer] = []
    if matrices:
        muon = Muon(
            [piece.part for piece in matrices],
            [piece.parameter for piece in matrices],
            lr=settings.learning_rate,
            momentum=0.95,
            weight_decay=settings.weight_decay,
            dtype=DTYPES[settings.precision],
        )
        optimizers.append(muon)
    if rest:
        adam = torch.optim.AdamW(
            rest,
            lr=settings.learning_rate * ADAM_SHARE_OF_MUON,
            betas=(settings.beta1, settings.beta2),
            weight_decay=0.0,
            fused=True,
        )
        optimizers.append(adam)
    return optimizers


OPTIMIZERS: dict[str, Make] = {
    "adamw": _adamw,
    "muon": _muon,
    "adafactor": _adafactor,
    "adamw8bit": _adamw_8bit,
}


class Optimizers:
    """All optimizers of a model as one, at rates that follow the schedule."""

    def __init__(self, model: Any, settings: Settings) -> None:
        make = named(OPTIMIZERS, settings.optimizer, "optimizer")
        self.pieces = pieces_of(model, offloads=settings.offload == "optimizer")
        self._optimizers = make(self.pieces, settings)
        self._peaks = []
        for optimizer in self._optimizers:
            for group in optimizer.param_groups:
                self._peaks.append((group, group["lr"]))

    def gradients(self) -> list[Tensor]:
        """Those that are there, each spread as its parameter is."""
        found = [piece.parameter.grad for piece in self.pieces]
        return [gradient for gradient in found if gradient is not None]

    def clip(self, most: float) -> float:
        """The norm of all gradients, before they are scaled to at most `most`; 0 scales nothing."""
        norm = global_norm(self.gradients())
        factor = clip_factor(norm, most)
        if factor < 1:
            scale(self.gradients(), factor)
        return norm

    def step(self, factor: float) -> None:
        """One step at the peak rates times `factor`; the gradients are gone then."""
        for group, peak in self._peaks:
            group["lr"] = peak * factor
        self._take_gradients()
        for optimizer in self._optimizers:
            optimizer.step()
        self._bring_back()
        self.drop_gradients()

    def drop_gradients(self) -> None:
        for piece in self.pieces:
            piece.parameter.grad = None
            piece.part.grad = None

    def _follow(self) -> None:
        """FSDP gives weights that were loaded late other memory before the first forward pass."""
        for piece in self.pieces:
            if not piece.is_offloaded and piece.part is not piece.parameter:
                piece.part.data = local_part(piece.parameter)

    def _take_gradients(self) -> None:
        self._follow()
        for piece in self.pieces:
            gradient = piece.parameter.grad
            if gradient is not None and piece.part is not piece.parameter:
                piece.part.grad = local_part(gradient).to(piece.part.device)

    @torch.no_grad()
    def _bring_back(self) -> None:
        for piece in self.pieces:
            if piece.is_offloaded:
                local_part(piece.parameter).copy_(piece.part)

    def state(self) -> dict[str, dict[str, Any]]:
        """By parameter, then by what is kept of it; spread as the parameter where its shape is."""
        if not any(optimizer.state for optimizer in self._optimizers):
            self._begin()
        kept = {}
        for piece in self.pieces:
            kept[piece.name] = self._state_of(piece)
        return kept

    def _state_of(self, piece: Piece) -> dict[str, Any]:
        kept = {}
        for optimizer in self._optimizers:
            for key, value in optimizer.state.get(piece.part, {}).items():
                is_part = isinstance(value, Tensor) and value.shape == piece.part.shape
                if key in BY_ROWS:
                    kept[key] = rows_spread_like(value, piece.parameter)
                else:
                    kept[key] = spread_like(value, piece.parameter) if is_part else value
        return kept

    def _begin(self) -> None:
        """State as it is before the first step: a step that changes nothing makes it."""
        self._follow()
        rates = [group["lr"] for group, _ in self._peaks]
        gradients = [piece.parameter.grad for piece in self.pieces]
        for group, _ in self._peaks:
            group["lr"] = 0.0
        for piece in self.pieces:
            piece.part.grad = torch.zeros_like(piece.part)
        for optimizer in self._optimizers:
            optimizer.step()
            _count_from_zero(optimizer)
        for (group, _), rate in zip(self._peaks, rates, strict=True):
            group["lr"] = rate
        for piece, gradient in zip(self.pieces, gradients, strict=True):
            piece.part.grad = None
            piece.parameter.grad = gradient

    @torch.no_grad()
    def restore(self, state: dict[str, dict[str, Any]]) -> None:
        """Takes what `state` of this layout was filled with, by checkpoints or from elsewhere."""
        own = self.state()
        for piece in self.pieces:
            for key, value in own[piece.name].items():
                restored = state[piece.name][key]
                if isinstance(value, Tensor):
                    local_part(value).copy_(local_part(restored))
            if piece.is_offloaded:
                piece.part.copy_(local_part(piece.parameter))


def _count_from_zero(optimizer: Optimizer) -> None:
    for state in optimizer.state.values():
        if "step" in state:
            state["step"].zero_()
