"""Every strategy that devices allow, with what it needs and how fast it should be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from llmops_cli.core.errors import UsageError
from llmops_cli.sizing.architecture import Architecture
from llmops_cli.sizing.devices import Cluster
from llmops_cli.sizing.layout import STRATEGIES, Degrees, Layout, layout_of
from llmops_cli.sizing.memory import DeviceMemory, device_memory, passes
from llmops_cli.sizing.step_time import StepTime, step_time
from llmops_cli.sizing.work import Work, batches_that_divide

TENSOR_DEGREES = (2, 4, 8)
"""Beyond a machine's fast links a tensor group waits for the network in every block."""
PIPELINE_DEGREES = (2, 4, 8, 16)


class Option(msgspec.Struct, frozen=True, kw_only=True):
    """A strategy at work on a cluster; without a layout where it can't be: `refusal` says why.

    `hint`: what to ask for in its place.
    """

    strategy: str
    refusal: str | None = None
    hint: str | None = None
    layout: Layout | None = None
    memory: DeviceMemory | None = None
    time: StepTime | None = None
    fits: bool = False

    @property
    def tokens_per_s(self) -> float:
        return 0.0 if self.time is None else self.time.tokens_per_s

    @property
    def total_bytes(self) -> float:
        return float("inf") if self.memory is None else self.memory.total


def options_for(
    architecture: Architecture,
    work: Work,
    cluster: Cluster,
    *,
    degrees: Degrees,
    strategies: Sequence[str] = STRATEGIES,
) -> tuple[Option, ...]:
    """One for each strategy: the fastest of its degrees that fit, else what needs least."""
    return tuple(
        _best_of(architecture, work, cluster, strategy=strategy, degrees=degrees)
        for strategy in strategies
    )


def _best_of(
    architecture: Architecture,
    work: Work,
    cluster: Cluster,
    *,
    strategy: str,
    degrees: Degrees,
) -> Option:
    found = []
    refusals = []
    for each in _degrees_to_try(strategy, cluster, degrees):
        option = option_of(architecture, work, cluster, strategy=strategy, degrees=each)
        if option.refusal is None:
            found.append(option)
        else:
            refusals.append(option)
    if not found:
        return refusals[0]
    fitting = [option for option in found if option.fits]
    if fitting:
        return max(fitting, key=lambda option: option.tokens_per_s)
    return min(found, key=lambda option: option.total_bytes)


def _degrees_to_try(strategy: str, cluster: Cluster, degrees: Degrees) -> Iterator[Degrees]:
    """What is asked for, else every degree that leaves something to the other dimension."""
    if strategy == "fsdp+tp" and degrees.tensor is None:
        most = min(cluster.devices_per_node, cluster.devices // 2)
        for tensor in TENSOR_DEGREES:
            if tensor <= most:
                yield msgspec.structs.replace(degrees, tensor=tensor)
    elif strategy == "fsdp+pp" and degrees.pipeline is None:
        for pipeline in PIPELINE_DEGREES:
            if pipeline <= cluster.devices // 2:
                yield msgspec.structs.replace(degrees, pipeline=pipeline)
    yield degrees


def option_of(
    architecture: Architecture,
    work: Work,
    cluster: Cluster,
    *,
    strategy: str,
    degrees: Degrees,
) -> Option:
    try:
        layout = layout_of(
            strategy,
            devices=cluster.devices,
            devices_per_node=cluster.devices_per_node,
            degrees=degrees,
        )
        layout = with_micro_batches(layout, work, asked=degrees.micro_batches)
        check_layout(architecture, work, layout)
    except UsageError as error:
        return Option(strategy=strategy, refusal=error.message, hint=error.hint)
    memory = memory_on(architecture, work, layout, cluster)
    return Option(
        strategy=strategy,
        layout=layout,
        memory=memory,
        time=step_time(architecture, work, layout, cluster),
        fits=fits(memory, cluster),
    )


def with_micro_batches(layout: Layout, work: Work, *, asked: int | None) -> Layout:
    """As many as are asked for, else the most up to two a stage that divide the rows.

    Each of a step's `accumulate` parts has so many.
    """
    if layout.pipeline == 1:
        return layout
    count = asked or layout.micro_batches
    while asked is None and count > layout.pipeline:
        if work.batch_size % (layout.shares * count * work.accumulate) == 0:
            break
        count -= 1
    return msgspec.structs.replace(layout, micro_batches=count * work.accumulate)


def memory_on(
    architecture: Architecture,
    work: Work,
    layout: Layout,
    cluster: Cluster,
) -> DeviceMemory:
    return device_memory(
        architecture,
        work,
        layout,
        framework_bytes=cluster.device.framework_bytes(layout.devices),
        on_cpu=cluster.device.is_cpu,
    )


def fits(memory: DeviceMemory, cluster: Cluster) -> bool:
    """On the device, and what is offloaded in the machine's main memory."""
    if memory.total > cluster.usable_bytes:
        return False
    if cluster.host_bytes is None:
        return True
    return memory.host * cluster.devices_per_node <= cluster.host_bytes


def check_layout(architecture: Architecture, work: Work, layout: Layout) -> None:
    """Raises: UsageError for a model or a batch that cannot be cut so."""
    if layout.zero and (work.optimizer != "adamw" or work.has_ema or work.precision == "fp16"):
        raise UsageError(
            f"zero{layout.zero} trains with AdamW, in f32 or bf16, and averages no weights",
            hint="--strategy fsdp",
        )
    if layout.tensor > 1 and work.optimizer == "adamw8bit":
        raise UsageError(
            "adamw8bit needs whole rows, and a tensor group cuts some matrices into columns",
            hint="--optimizer adamw, or --strategy fsdp",
        )
    if layout.tensor > 1 and any(block.experts is not None for block in architecture.blocks):
        raise UsageError(
            "no plan cuts the experts of this model over a tensor group", hint="--strategy fsdp"
        )
    blocks = len(architecture.blocks)
    if layout.pipeline * layout.chunks > blocks:
        raise UsageError(
            f"{layout.pipeline * layout.chunks} pipeline stages need as many blocks, and the model "
            f"has {blocks}",
            hint="a smaller --pipeline-parallel, or --strategy fsdp",
        )
    _check_batch(work, layout)


def _check_batch(work: Work, layout: Layout) -> None:
    count = passes(work, layout)
    if work.batch_size % (layout.shares * count) == 0:
        return
    hint = f"--batch-size, a multiple of {layout.shares * count}"
    if layout.pipeline == 1:
        hint = batches_that_divide(work.batch_size, shares=layout.shares, accumulate=count)
    raise UsageError(
        f"a batch of {work.batch_size} rows does not divide into {layout.shares} shares of "
        f"{count} passes",
        hint=hint,
    )
