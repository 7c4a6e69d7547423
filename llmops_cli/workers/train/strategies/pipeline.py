"""Stages of a pipeline at work: micro-batches through them, forth and back.

The order of work is a schedule of torch.distributed.pipelining: GPipe (arXiv:1811.06965), 1F1B
(arXiv:2104.04473), or interleaved 1F1B with several stages on each rank (the same paper).
Shapes: B rows of a micro-batch, T tokens, D hidden, V vocabulary.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor, distributed
from torch.distributed.pipelining import (
    PipelineStage,
    Schedule1F1B,
    ScheduleGPipe,
    ScheduleInterleaved1F1B,
)

from train.data.batch import Batch
from train.loss import loss_sum
from train.settings import Settings
from train.strategies.line import Line

SCHEDULES: dict[str, Any] = {
    "gpipe": ScheduleGPipe,
    "1f1b": Schedule1F1B,
    "interleaved": ScheduleInterleaved1F1B,
}


class MicroBatches(NamedTuple):
    """Into what a step's rows are cut: `parts` times `rows` rows of `tokens` tokens."""

    parts: int
    rows: int
    tokens: int


class Sent(NamedTuple):
    """On its way; the tensor must live until it has arrived."""

    work: Any
    tensor: Tensor


class Pipeline:
    """Trains and evaluates batches over a line of ranks, all of which call it together."""

    def __init__(self, line: Line, settings: Settings) -> None:
        self._line = line
        self._name = settings.pipeline_schedule
        self._make = SCHEDULES[self._name]
        self._count = settings.micro_batches * settings.accumulate
        self._shape: MicroBatches | None = None
        self._schedule: Any = None  # torch gives its schedules no common type
        self._batch: Batch | None = None
        self._factor = 1.0
        self._losses: list[Tensor] = []

    def gradients(self, batch: Batch, factor: float) -> float:
        """Adds gradients of the losses times `factor`; the losses' sum, the same on every rank."""
        self._batch = batch
        self._factor = factor
        self._losses.clear()
        rows, tokens = batch.ids_BT.shape
        self._prepare(MicroBatches(self._count, rows // self._count, tokens))
        inputs = (batch.ids_BT,) if 0 in self._line.modules else ()
        packed = {}
        if batch.documents > 1:
            packed["positions_BT"] = batch.positions_BT
        rows_B = torch.arange(rows)
        self._schedule.step(*inputs, target=rows_B, return_outputs=False, **packed)
        return self._from_last(self._losses)

    def _prepare(self, shape: MicroBatches) -> None:
        """A schedule has buffers of one shape."""
        if shape == self._shape:
            return
        stages = [self._stage(number, shape) for number in self._line.modules]
        argument = stages if self._name == "interleaved" else stages[0]
        self._schedule = self._make(argument, shape.parts, loss_fn=self._loss, scale_grads=False)
        self._shape = shape

    def _stage(self, number: int, shape: MicroBatches) -> PipelineStage:
        """With the shapes that travel, so that no stage must be run to find them."""
        line = self._line
        module = line.modules[number]
        ids_BT = torch.empty(shape.rows, shape.tokens, dtype=torch.long, device="meta")
        hidden_BTD = self._travelling(shape, line.hidden_size)
        logits_BTV = self._travelling(shape, line.vocabulary_size)
        return PipelineStage(
            module,
            number,
            line.stages,
            line.device,
            input_args=ids_BT if module.cut.is_first else hidden_BTD,
            output_args=logits_BTV if module.cut.is_last else hidden_BTD,
            group=line.group,
        )

    def _travelling(self, shape: MicroBatches, width: int) -> Tensor:
        return torch.empty(
            shape.rows,
            shape.tokens,
            width,
            dtype=self._line.dtype,
            device="meta",
            requires_grad=True,
        )

    def _loss(self, logits_BTV: Tensor, rows_B: Tensor) -> Tensor:
        """Of one micro-batch; the schedule passes on the numbers of its rows."""
        assert self._batch is not None
        loss = loss_sum(logits_BTV, rows_of(self._batch, rows_B))
        self._losses.append(loss.detach())
        return loss * self._factor

    @torch.no_grad()
    def losses(self, batch: Batch) -> float:
        """The sum of losses, forward only."""
        sums: list[Tensor] = []
        sent: list[Sent] = []
        rows = batch.ids_BT.shape[0]
        for rows_B in torch.arange(rows).chunk(self._count):
            part = rows_of(batch, rows_B)
            for number, module in self._line.modules.items():
                outputs = module(self._received(number, part), positions_of(part))
                if module.cut.is_last:
                    sums.append(loss_sum(outputs, part))
                else:
                    sent.append(self._send(number + 1, outputs))
        for each in sent:
            each.work.wait()
        return self._from_last(sums)

    def _received(self, number: int, part: Batch) -> Tensor:
        if number == 0:
            return part.ids_BT
        line = self._line
        shape = (*part.ids_BT.shape, line.hidden_size)
        hidden_BTD = torch.empty(shape, dtype=line.dtype, device=line.device)
        distributed.recv(hidden_BTD, line.rank_of(number - 1), group=line.group)
        return hidden_BTD

    def _send(self, number: int, hidden_BTD: Tensor) -> Sent:
        line = self._line
        whole_BTD = hidden_BTD.contiguous()
        work: Any = distributed.isend(whole_BTD, line.rank_of(number), group=line.group)
        return Sent(work, whole_BTD)

    def _from_last(self, sums: list[Tensor]) -> float:
        line = self._line
        total = torch.zeros((), dtype=torch.float64, device=line.device)
        for loss in sums:
            total += loss
        distributed.broadcast(total, line.rank_of(line.stages - 1), group=line.group)
        return float(total)


def rows_of(batch: Batch, rows_B: Tensor) -> Batch:
    return batch._replace(
        ids_BT=batch.ids_BT[rows_B],
        targets_BT=batch.targets_BT[rows_B],
        weights_BT=batch.weights_BT[rows_B],
        positions_BT=batch.positions_BT[rows_B],
    )


def positions_of(batch: Batch) -> Tensor | None:
    return batch.positions_BT if batch.documents > 1 else None
