"""What the first step of a run really held on this rank, to stand beside what was planned."""

import math
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, distributed
from torch.nn import Module
from torch.optim.optimizer import (
    Optimizer,
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

from _shared.protocol import Json
from train.data.batch import Batch
from train.held import held_activations, key_of, size_of
from train.settings import Settings
from train.strategies.strategy import Strategy


class Allocated(NamedTuple):
    """Bytes of the rank that held most. activations: the most that was held at once.

    rows, tokens: of the largest pass, which activations go by. vocabulary: of the model, which a
    tokenizer made of the data decides. device_peak: of torch's allocator on a GPU; 0 on a
    processor, which has none.
    """

    weights: int
    gradients: int
    optimizer: int
    activations: int
    device_peak: int
    rows: int
    tokens: int
    vocabulary: int


class FirstStep:
    """A strategy whose first step is measured; every other call is passed on as it is."""

    def __init__(self, strategy: Strategy, settings: Settings) -> None:
        self._strategy = strategy
        self._settings = settings
        self._is_done = False
        self._found = Allocated(0, 0, 0, 0, 0, 0, 0, 0)

    def __getattr__(self, name: str) -> Any:  # Any: whatever a strategy has
        return getattr(self._strategy, name)

    def gradients(self, batch: Batch, total_weight: float) -> float:
        if self._is_done:
            return self._strategy.gradients(batch, total_weight)
        model: Module = self._strategy.model
        is_selective = self._settings.activation_checkpointing == "selective"
        with held_activations(model, is_selective=is_selective) as ledger:
            loss = self._strategy.gradients(batch, total_weight)
        self._found = self._found._replace(
            weights=storage_bytes(_weights(model)),
            gradients=storage_bytes(_gradients(model)),
            activations=ledger.peak_bytes,
            vocabulary=self._strategy.model.config.get_text_config().vocab_size,
            **_largest_pass(batch, self._settings),
        )
        return loss

    def update(self, factor: float) -> None:
        if self._is_done:
            self._strategy.update(factor)
            return
        optimizers: list[Optimizer] = []
        seen: list[int] = [self._found.gradients]
        before = register_optimizer_step_pre_hook(lambda each, *_: seen.append(_flat(each)))
        after = register_optimizer_step_post_hook(lambda each, *_: optimizers.append(each))
        self._strategy.update(factor)
        before.remove()
        after.remove()
        peak = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0
        kept = optimizer_bytes(self._strategy.model, optimizers)
        if self._settings.ema_decay > 0:
            kept += storage_bytes(_tensors_in(self._strategy.state().get("average", {})))
        self._found = self._found._replace(gradients=max(seen), optimizer=kept, device_peak=peak)
        self._is_done = bool(optimizers)

    def allocated(self) -> Allocated:
        """Of each part, the most that any rank held; all ranks must ask."""
        if not distributed.is_initialized():
            return self._found
        most = torch.tensor(self._found, dtype=torch.float64)
        if torch.cuda.is_available():
            most = most.cuda()
        distributed.all_reduce(most, distributed.ReduceOp.MAX)
        return Allocated(*(int(value) for value in most.tolist()))


def measured(strategy: Strategy, settings: Settings) -> tuple[Strategy, FirstStep]:
    """The strategy to run with, and the same to ask afterwards."""
    first = FirstStep(strategy, settings)
    return cast(Strategy, first), first


def as_json(found: Allocated) -> Json:
    """As the report has it, in its `plan`."""
    parts = ("weights", "gradients", "optimizer", "activations")
    return {
        "allocated_bytes": {part: getattr(found, part) for part in parts},
        "device_peak_bytes": found.device_peak or None,
        "largest_pass": {
            "rows": found.rows,
            "tokens": found.tokens,
            "vocabulary": found.vocabulary,
        },
    }


def storage_bytes(tensors: Iterable[Tensor]) -> int:
    """Of this rank, each storage once however many tensors look at it."""
    sizes = {key_of(tensor): size_of(tensor) for tensor in tensors}
    return sum(sizes.values())


def optimizer_bytes(model: Module, optimizers: Iterable[Optimizer]) -> int:
    """Their state, and parameters of their own: an offloaded optimizer's, ZeRO's in f32."""
    weights = {key_of(parameter) for parameter in _weights(model)}
    found: list[Tensor] = []
    for optimizer in optimizers:
        found += _tensors_in(optimizer.state)
        for group in optimizer.param_groups:
            found += [each for each in group["params"] if key_of(each) not in weights]
    return storage_bytes(found)


def _weights(model: Module) -> Iterator[Tensor]:
    """This rank's parts; ZeRO-3 has them beside parameters that are empty."""
    for parameter in model.parameters():
        yield getattr(parameter, "ds_tensor", parameter)


def _flat(optimizer: Optimizer) -> int:
    """Gradients that an optimizer is given; ZeRO has them nowhere else by then."""
    given = [each for group in optimizer.param_groups for each in group["params"]]
    return storage_bytes(each.grad for each in given if each.grad is not None)


def _gradients(model: Module) -> Iterator[Tensor]:
    for parameter in model.parameters():
        if parameter.grad is not None:
            yield parameter.grad


def _tensors_in(value: Any) -> Iterator[Tensor]:  # Any: optimizers nest their state as they like
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _tensors_in(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _tensors_in(each)


def _largest_pass(batch: Batch, settings: Settings) -> dict[str, int]:
    """Rows of one pass, and the tokens of its longest row."""
    passes = settings.accumulate
    if settings.pipeline_parallel > 1:
        passes *= settings.micro_batches
    return {
        "rows": math.ceil(batch.ids_BT.shape[0] / passes),
        "tokens": max(1, int(batch.lengths().max())),
    }
