"""What communication holds on a device beside the model: gathered units, buckets, receipts."""

from __future__ import annotations

from collections.abc import Iterable

from llmops_cli.sizing.architecture import Architecture
from llmops_cli.sizing.layout import Layout
from llmops_cli.sizing.parameters import Tensor
from llmops_cli.sizing.stages import Stage
from llmops_cli.sizing.work import Numbers, Work

F32 = 4
ZERO_BUCKET_ELEMENTS = 500_000_000
"""DeepSpeed's reduce_bucket_size and allgather_bucket_size, where nothing else is set."""
ZERO_LIVE_ELEMENTS = 1_000_000_000
"""Its stage3_max_live_parameters."""


def communication_bytes(
    architecture: Architecture,
    work: Work,
    layout: Layout,
    *,
    stage: Stage,
    numbers: Numbers,
    tokens: float,
) -> float:
    """DDP needs none: its gradients are views of its buckets (arXiv:2006.15704, section 4)."""
    total = 0.0
    if layout.zero:
        total += _zero_bytes(stage, layout)
    elif layout.shards > 1 and layout.pipeline > 1:
        total += _whole_stage_bytes(stage, layout, numbers)
    elif layout.shards * layout.context > 1:
        total += _gathered_bytes(stage, layout, numbers)
    stream = architecture.hidden_size * tokens * numbers.stream
    if layout.tensor > 1:
        total += 2 * stream
    if layout.pipeline > 1:
        total += stream * boundary_streams(layout, stage)
    return total


def boundary_streams(layout: Layout, stage: Stage) -> float:
    """Hidden states and their gradients at a device's ends, beside those among its activations.

    torch receives each micro-batch in a buffer of its own, which stays (its PipelineStage), and
    keeps what a stage sent on until the gradient is back.
    """
    received = layout.chunks - (1 if stage.is_first else 0)
    sent = layout.chunks - (1 if stage.is_last else 0)
    in_flight = stage.in_flight
    waiting = layout.micro_batches - in_flight
    return received * waiting + sent * (layout.micro_batches + in_flight)


def unit_elements(tensors: Iterable[Tensor], tensor_ways: int) -> tuple[int, int]:
    """Elements of the largest block, and of all that lies outside of blocks: FSDP's units."""
    blocks: dict[int, int] = {}
    root = 0
    for tensor in tensors:
        elements = tensor.elements_split(tensor_ways)
        if tensor.layer is None:
            root += elements
        else:
            blocks[tensor.layer] = blocks.get(tensor.layer, 0) + elements
    return max(blocks.values(), default=0), root


def _gathered_bytes(stage: Stage, layout: Layout, numbers: Numbers) -> float:
    """What FSDP2 has whole at once (torch's _fsdp_collectives.py).

    The block that is computed, the one after it, and the flat buffer from which they are copied;
    the root unit, whole until the end, and its gradients; a block's gradients, and the f32 buffer
    in which they are summed.
    """
    block, root = unit_elements(stage.tensors, layout.tensor)
    gathered = 3 * block * numbers.compute
    reduced = block * (numbers.compute + F32)
    return gathered + reduced + 2 * root * numbers.compute


def _whole_stage_bytes(stage: Stage, layout: Layout, numbers: Numbers) -> float:
    """All of a stage: under a pipeline nothing is spread again before its last micro-batch.

    So weights stay gathered, and gradients whole and in f32 (torch's PipelineStage).
    """
    elements = sum(each.elements_split(layout.tensor) for each in stage.tensors)
    return float(elements * (numbers.compute + F32))


def _zero_bytes(stage: Stage, layout: Layout) -> float:
    """Gradients on their way in one bucket; with stage 3 also weights that stay gathered."""
    elements = sum(tensor.elements for tensor in stage.tensors)
    bucket = min(ZERO_BUCKET_ELEMENTS, elements) * F32
    if layout.zero < 3:
        return float(2 * bucket)
    live = min(ZERO_LIVE_ELEMENTS, elements) * F32
    return float(live + bucket)
