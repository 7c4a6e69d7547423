"""How far a training step's arithmetic is off, by kind of layout, and the figures that follow.

All that was published with enough detail is one table of torchtitan on H100s (20 figures), so no
source could be left out: spreads are of rows left out one at a time; other cards get wider ones.
"""

from __future__ import annotations

from collections.abc import Sequence

from llmops_cli.sizing.calibration import Correction, Group, correction
from llmops_cli.sizing.figures import Figure, estimated
from llmops_cli.sizing.layout import Layout
from llmops_cli.sizing.memory import DeviceMemory
from llmops_cli.sizing.step_time import StepTime

ENGINE = "torch"
SPEED = "train"
MEMORY = "train-memory"
LONG_CONTEXT = 4
"""Devices a sequence from which its exchanges are no longer hidden behind attention."""


def kind_of(layout: Layout, quantity: str) -> str:
    """Layouts whose errors are alike."""
    if layout.pipeline > 1:
        return f"{quantity}-pipeline"
    if quantity == SPEED and layout.context >= LONG_CONTEXT:
        return f"{quantity}-context"
    return quantity


def _torch(quantity: str, *, shift: float, spread: float, count: int) -> Group:
    return Group(
        engine=ENGINE,
        machine="h100-96",
        quantity=quantity,
        shift=shift,
        spread=spread,
        count=count,
    )


TRAINED: tuple[Group, ...] = (
    _torch("train", shift=-0.067, spread=0.12, count=8),
    _torch("train-context", shift=-0.357, spread=0.25, count=2),
    _torch("train-memory", shift=-0.043, spread=0.09, count=6),
    _torch("train-memory-pipeline", shift=-0.054, spread=0.32, count=2),
    _torch("train-pipeline", shift=-0.163, spread=0.25, count=2),
)
"""What `groups_of` makes of torchtitan's rows."""


def training_correction(
    layout: Layout,
    machine: str,
    quantity: str,
    groups: Sequence[Group] = TRAINED,
) -> Correction:
    kind = kind_of(layout, quantity)
    return correction(groups, engine=ENGINE, machine=machine, quantity=kind)


def training_figures(
    layout: Layout,
    memory: DeviceMemory,
    time: StepTime,
    machine: str,
) -> dict[str, Figure]:
    """Of the fullest device, and of all devices together."""
    speed = training_correction(layout, machine, SPEED)
    size = training_correction(layout, machine, MEMORY)
    return {
        "memory_bytes": estimated(
            memory.total * size.factor,
            size.spread,
            formula="weights + gradients + optimizer + activations + workspace + communication",
            source=size.source,
        ),
        "step_s": estimated(
            time.total_s / speed.factor,
            speed.spread,
            formula="products + attention + traffic + update + communication + bubble",
            source=speed.source,
        ),
        "tokens_per_s": estimated(
            time.tokens_per_s * speed.factor,
            speed.spread,
            formula="tokens of a batch / step_s",
            source=speed.source,
        ),
        "mfu": estimated(
            time.mfu * speed.factor,
            speed.spread,
            formula="model FLOPs / (step_s x devices x dense peak)",
            source=speed.source,
            ceiling=1.0,
        ),
    }
