"""What ZeRO keeps of each parameter, as the other strategies save it: by name, rows over ranks.

DeepSpeed has flat pieces that cut through tensors. Here each tensor is put together for a moment,
and every rank keeps its rows of it; so any strategy goes on from the checkpoint, and ZeRO from any.
"""

from typing import Any

import torch
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh

from train.layout import rows_of_whole, whole_of
from train.strategies.zero_engine import MOMENTS, ZeroEngine
from train.weights import weights_of

State = dict[str, Any]


@torch.no_grad()
def state_of(engine: ZeroEngine, mesh: DeviceMesh) -> State:
    """Every rank must call it: tensors are put together by all."""
    model = engine.engine.module
    steps = engine.begin()
    kept: State = {"model": _saved_buffers(model), "optimizer": {}}
    for name, weight in model.named_parameters():
        kept["model"][name] = rows_of_whole(engine.whole(weight), mesh)
        moments = {key: rows_of_whole(engine.whole(weight, key), mesh) for key in MOMENTS}
        kept["optimizer"][name] = {"step": steps.clone(), **moments}
    return kept


@torch.no_grad()
def restore(engine: ZeroEngine, state: State) -> None:
    """Every rank must call it, with what `state_of` was filled with."""
    model = engine.engine.module
    engine.begin()
    for name, buffer in _saved_buffers(model).items():
        buffer.copy_(state["model"][name])
    steps = torch.zeros(())
    for name, weight in model.named_parameters():
        engine.fill(weight, whole_of(state["model"][name]))
        kept = state["optimizer"][name]
        for key in MOMENTS:
            engine.fill(weight, whole_of(kept[key]), key)
        steps = kept["step"]
    engine.go_on(steps)


def _saved_buffers(model: Any) -> dict[str, Tensor]:
    parameters = dict(model.named_parameters())
    return {name: each for name, each in weights_of(model).items() if name not in parameters}
