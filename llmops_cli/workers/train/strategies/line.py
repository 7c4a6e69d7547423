"""Which rank has which stages of a model, and over which group they speak."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, distributed, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh

from _shared.protocol import JobError
from train.blocks import blocks_of
from train.names import named
from train.precision import DTYPES, autocast
from train.ranks import Ranks
from train.settings import Settings
from train.strategies.cutting import Cut, cuts_of, keep, parts_of, stage_of

STAGES_OF_A_RANK = {"gpipe": 1, "1f1b": 1, "interleaved": 2}
"""By pipeline schedule."""
PIPELINE = "pipeline"
DATA = "shard"


class StageModule(nn.Module):
    """One stage: token ids or hidden states in, hidden states or logits out.

    Shapes: B rows, T tokens, D hidden, V vocabulary.
    """

    def __init__(self, model: Any, cut: Cut, precision: str, device: torch.device) -> None:
        super().__init__()
        self.model = model
        self.cut = cut
        self._precision = precision
        self._device = device

    def blocks(self) -> nn.ModuleList:
        """Those of other stages let everything pass."""
        return blocks_of(self.model)

    def forward(self, inputs: Tensor, positions_BT: Tensor | None = None) -> Tensor:
        name = "input_ids" if self.cut.is_first else "inputs_embeds"
        arguments = {name: inputs, "position_ids": positions_BT, "use_cache": False}
        with autocast(self._precision, self._device):
            if self.cut.is_last:
                logits_BTV: Tensor = self.model(**arguments).logits
                return logits_BTV
            hidden_BTD: Tensor = self.model.base_model(**arguments).last_hidden_state
            return hidden_BTD


class Line(NamedTuple):
    """The ranks over which one copy of a model is spread, and what this one has of it.

    modules: stage number -> its module. stages: how many there are on all ranks. group: those
    ranks, in order. dtype: of the hidden states that travel.
    """

    modules: dict[int, StageModule]
    stages: int
    group: distributed.ProcessGroup
    device: torch.device
    dtype: torch.dtype
    hidden_size: int
    vocabulary_size: int

    def rank_of(self, stage: int) -> int:
        """Among all ranks, not those of the line."""
        length = distributed.get_world_size(self.group)
        return distributed.get_global_rank(self.group, stage % length)


def make_mesh(settings: Settings, ranks: Ranks, copies: int) -> DeviceMesh:
    """Ranks as (pipeline, data): `copies` lines; what speaks most, copies of a stage, is nearest.

    Raises: JobError if the ranks do not make them, or if a line would be one rank.
    """
    length, left = divmod(ranks.world_size, copies)
    if left or length < 2:
        message = (
            f"strategy '{settings.strategy}' needs pipelines of at least 2 ranks, and "
            f"{ranks.world_size} processes do not make {copies} of them"
        )
        raise JobError("UsageError", message, "--nproc as pipelines times --pipeline-parallel")
    return init_device_mesh(ranks.device.type, (length, copies), mesh_dim_names=(PIPELINE, DATA))


def make_line(model: Any, settings: Settings, ranks: Ranks, mesh: DeviceMesh) -> Line:
    """The stages of this rank; takes out of `model` what other ranks have, before it has memory.

    Raises: JobError for a model that cannot be cut into so many stages, or uneven micro-batches.
    """
    length, copies = mesh.shape
    count = length * named(STAGES_OF_A_RANK, settings.pipeline_schedule, "pipeline schedule")
    check_micro_batches(settings, shares=copies, ranks=length)
    parts = parts_of(model)
    cuts = cuts_of(model, parts, count)
    own = range(mesh.get_local_rank(PIPELINE), count, length)
    # FSDP computes in the run's precision by itself; autocast leaves the residual stream in f32.
    has_fsdp = copies > 1
    precision = "f32" if has_fsdp else settings.precision
    modules = {}
    for number in own:
        stage = stage_of(model, parts, cuts[number])
        modules[number] = StageModule(stage, cuts[number], precision, ranks.device)
    keep(model, parts, [cuts[number] for number in own])
    return Line(
        modules=modules,
        stages=count,
        group=mesh.get_group(PIPELINE),
        device=ranks.device,
        dtype=DTYPES[settings.precision] if has_fsdp else torch.float32,
        hidden_size=model.config.hidden_size,
        vocabulary_size=model.config.vocab_size,
    )


def check_micro_batches(settings: Settings, *, shares: int, ranks: int) -> None:
    """Raises: JobError unless each share's rows make equal micro-batches, enough of them."""
    schedule = settings.pipeline_schedule
    count = settings.micro_batches * settings.accumulate
    if settings.batch_size % (shares * count):
        message = (
            f"a batch of {settings.batch_size} rows cannot be cut evenly into {shares} shares of "
            f"{count} micro-batches"
        )
        hint = f"--batch-size a multiple of {shares * count}, or other --micro-batches"
        raise JobError("UsageError", message, hint)
    if schedule == "1f1b" and count < ranks:
        message = f"schedule '1f1b' over {ranks} stages needs {ranks} micro-batches, not {count}"
        raise JobError("UsageError", message, f"--micro-batches {ranks}")
    rounds = max(1, count // ranks)
    if schedule == "interleaved" and count % rounds:
        message = f"schedule 'interleaved' cannot spread {count} micro-batches over {ranks} ranks"
        raise JobError("UsageError", message, f"--micro-batches a multiple of {ranks}")
