"""What one device holds during a training step, part by part, under any layout.

The parts are added up although the largest of each do not all stand at the same instant: torch's
allocator keeps what it was once given, so a device needs about their sum.
"""

from __future__ import annotations

import msgspec

from llmops_cli.sizing.activations import (
    Kept,
    block_bytes,
    block_input_bytes,
    head_bytes,
    loss_workspace_bytes,
)
from llmops_cli.sizing.architecture import Architecture, Block
from llmops_cli.sizing.buffers import communication_bytes
from llmops_cli.sizing.layout import Layout
from llmops_cli.sizing.optimizers import update_workspace_bytes
from llmops_cli.sizing.parameters import EMBEDDING, EXPERT
from llmops_cli.sizing.selective import selective_bytes
from llmops_cli.sizing.stages import Stage, stages_of
from llmops_cli.sizing.states import model_states
from llmops_cli.sizing.work import Numbers, Work, numbers_of

FRAGMENTS = 0.08
"""Of what comes and goes in a step, what torch's caching allocator holds beside it: blocks of one
size don't serve another (arXiv:2401.08156 measures 5 to 15 % for large models).
"""


class DeviceMemory(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes.

    activations: kept for the backward pass. workspace: stands only while something is computed
    (gradients of logits, a block that is recomputed, an update's temporaries). framework: contexts,
    libraries, the allocator's fragments. host: of main memory, for this device.
    """

    weights: float
    gradients: float
    optimizer: float
    activations: float
    workspace: float
    communication: float
    framework: float
    host: float = 0.0

    @property
    def total(self) -> float:
        states = self.weights + self.gradients + self.optimizer
        passing = self.activations + self.workspace + self.communication
        return states + passing + self.framework


def device_memory(
    architecture: Architecture,
    work: Work,
    layout: Layout,
    *,
    framework_bytes: float = 0.0,
    on_cpu: bool = False,
) -> DeviceMemory:
    """Of the device that holds most; under a pipeline they differ."""
    found = stage_memories(
        architecture, work, layout, framework_bytes=framework_bytes, on_cpu=on_cpu
    )
    return max(found, key=lambda memory: memory.total)


def largest_parts(
    architecture: Architecture,
    work: Work,
    layout: Layout,
    *,
    framework_bytes: float = 0.0,
    on_cpu: bool = False,
) -> DeviceMemory:
    """Of each part the most that any device holds, which is how a run measures them."""
    found = stage_memories(
        architecture, work, layout, framework_bytes=framework_bytes, on_cpu=on_cpu
    )
    parts = {
        name: max(getattr(memory, name) for memory in found)
        for name in DeviceMemory.__struct_fields__
    }
    return DeviceMemory(**parts)


def stage_memories(
    architecture: Architecture,
    work: Work,
    layout: Layout,
    *,
    framework_bytes: float,
    on_cpu: bool,
) -> list[DeviceMemory]:
    """Of one device of each stage of a pipeline; without one, of one device."""
    return [
        stage_memory(
            architecture,
            work,
            layout,
            stage=stage,
            framework_bytes=framework_bytes,
            on_cpu=on_cpu,
        )
        for stage in stages_of(architecture, layout)
    ]


def stage_memory(
    architecture: Architecture,
    work: Work,
    layout: Layout,
    *,
    stage: Stage,
    framework_bytes: float,
    on_cpu: bool,
) -> DeviceMemory:
    numbers = numbers_of(work, casts_whole_model=layout.casts_whole_model)
    states = model_states(stage.tensors, work, layout, numbers, on_cpu=on_cpu)
    kept = _kept(work, layout, numbers, on_cpu=on_cpu)
    tokens = tokens_per_pass(work, layout)
    activations = _activations(architecture, work, layout, stage, kept, tokens)
    activations += _weight_casts(architecture, work, layout, stage, numbers)
    backward = _backward_workspace(architecture, work, layout, stage, kept) * tokens
    communication = communication_bytes(
        architecture, work, layout, stage=stage, numbers=numbers, tokens=tokens
    )
    update = 0.0
    if layout.offload == "none":
        update = update_workspace_bytes(work.optimizer, stage.tensors)
    workspace = max(backward, update - activations)
    passing = activations + workspace + communication
    fragments = 0.0 if on_cpu else FRAGMENTS * passing
    return DeviceMemory(
        weights=states.weights,
        gradients=states.gradients,
        optimizer=states.optimizer,
        activations=activations,
        workspace=workspace,
        communication=communication,
        framework=framework_bytes + fragments,
        host=states.host,
    )


def tokens_per_pass(work: Work, layout: Layout) -> float:
    """That one device computes at once: its rows of a micro-batch, or its part of a sequence."""
    rows = work.batch_size / (layout.shares * passes(work, layout))
    return rows * work.sequence_length / layout.context


def passes(work: Work, layout: Layout) -> int:
    """Into how many a device's rows of a step are cut."""
    if layout.pipeline > 1:
        return layout.micro_batches
    return work.accumulate


def _kept(work: Work, layout: Layout, numbers: Numbers, *, on_cpu: bool) -> Kept:
    return Kept(
        numbers=numbers,
        sequence_length=work.sequence_length,
        attention=work.attention,
        tensor=layout.tensor,
        splits_sequence=layout.splits_sequence,
        is_packed=work.is_packed,
        is_compiled=work.is_compiled,
        on_cpu=on_cpu,
    )


def _vocabulary_ways(layout: Layout) -> int:
    return layout.tensor if layout.splits_vocabulary else 1


def _activations(
    architecture: Architecture,
    work: Work,
    layout: Layout,
    stage: Stage,
    kept: Kept,
    tokens: float,
) -> float:
    each_token = 0.0
    for number in stage.blocks:
        block = architecture.blocks[number]
        each_token += _kept_of_block(block, architecture, work, kept)
    total = each_token * tokens * stage.in_flight
    if stage.is_last:
        # a head's pass goes backward at once, unless all passes go forward first
        at_once = stage.in_flight if layout.schedule == "gpipe" else 1.0
        ways = _vocabulary_ways(layout)
        total += head_bytes(architecture, kept, vocabulary_ways=ways) * tokens * at_once
    return total


def _kept_of_block(
    block: Block,
    architecture: Architecture,
    work: Work,
    kept: Kept,
) -> float:
    if work.checkpointing == "full":
        return block_input_bytes(architecture, kept)
    if work.checkpointing == "selective":
        return selective_bytes(block, architecture, kept)
    if work.checkpointing == "alternate":
        return selective_bytes(block, architecture, kept, every=2)
    return block_bytes(block, architecture, kept)


def _weight_casts(
    architecture: Architecture,
    work: Work,
    layout: Layout,
    stage: Stage,
    numbers: Numbers,
) -> float:
    """Copies of matrices in the compute format, which torch.autocast keeps until the backward pass.

    Each pass in flight has its own; blocks that are recomputed keep none. FSDP's casts are its
    gathered units, and ZeRO-3 casts again.
    """
    if not numbers.is_autocast or layout.zero == 3:
        return 0.0
    total = 0.0
    for tensor in stage.tensors:
        if tensor.role == EXPERT:
            continue
        is_lookup = tensor.role == EMBEDDING
        is_head = is_lookup and architecture.is_tied and stage.is_last
        is_recomputed = tensor.layer is not None and work.checkpointing != "none"
        if tensor.is_matrix and not is_recomputed and (is_head or not is_lookup):
            total += tensor.elements_split(layout.tensor) * numbers.compute
    return total * stage.in_flight


def _backward_workspace(
    architecture: Architecture,
    work: Work,
    layout: Layout,
    stage: Stage,
    kept: Kept,
) -> float:
    """For a token: the loss's gradients, or the block that is recomputed, whichever is more."""
    needs = [0.0]
    if stage.is_last:
        ways = _vocabulary_ways(layout)
        needs.append(loss_workspace_bytes(architecture, kept, vocabulary_ways=ways))
    for number in stage.blocks:
        block = architecture.blocks[number]
        again = block_bytes(block, architecture, kept)
        again -= _kept_of_block(block, architecture, work, kept)
        needs.append(again)
    return max(needs)
