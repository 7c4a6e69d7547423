"""What each engine reaches of a device: constants and the machines that they were fitted on.

Constants were chosen by hand on published measurements and then left alone; the shifts of single
machines are what `llmops plan fit` makes of the same rows. Sources and residuals: docs/PLAN.md.
"""

from __future__ import annotations

import msgspec

from llmops_cli.core.errors import unknown_name
from llmops_cli.sizing.calibration import Group
from llmops_cli.sizing.speed import Efficiency

LLAMACPP = Efficiency(
    bandwidth=0.89,
    layer_s=30e-6,
    expert_layer_s=45e-6,
    unpack_ops=5,
    unpack_small_ops=15,
    prefill=0.85,
    prefill_packed=0.62,
    batch=0.24,
    batch_large=0.55,
)
VLLM = Efficiency(
    bandwidth=0.84,
    layer_s=90e-6,
    expert_layer_s=40e-6,
    unpack_ops=1,
    unpack_small_ops=8,
    prefill=0.6,
    prefill_packed=0.5,
    batch=0.5,
    batch_large=0.5,
)
SGLANG = Efficiency(
    bandwidth=0.84,
    layer_s=60e-6,
    expert_layer_s=40e-6,
    unpack_ops=1,
    unpack_small_ops=8,
    prefill=0.6,
    prefill_packed=0.5,
    batch=0.5,
    batch_large=0.5,
)
TRANSFORMERS = Efficiency(
    bandwidth=0.75,
    layer_s=600e-6,
    expert_layer_s=400e-6,
    unpack_ops=4,
    unpack_small_ops=10,
    prefill=0.5,
    prefill_packed=0.4,
    batch=0.4,
    batch_large=0.4,
)
ENGINES = {
    "llamacpp": LLAMACPP,
    "vllm": VLLM,
    "sglang": SGLANG,
    "transformers": TRANSFORMERS,
    "sim": VLLM,
}
"""The simulated engine's truth is its options': any constants do for a fit to correct."""
TUNED = {
    ("sglang", "h20"): msgspec.structs.replace(
        SGLANG, bandwidth=0.42, layer_s=50e-6, expert_layer_s=30e-6, unpack_ops=18
    ),
}
"""Where a machine's rows tell its constants apart, not only its shift."""


def _fitted(
    engine: str,
    machine: str,
    quantity: str,
    *,
    shift: float,
    spread: float,
    count: int,
) -> Group:
    return Group(
        engine=engine,
        machine=machine,
        quantity=quantity,
        shift=shift,
        spread=spread,
        count=count,
    )


FITTED: tuple[Group, ...] = (
    _fitted("llamacpp", "2080", "decode", shift=0.092, spread=0.14, count=1),
    _fitted("llamacpp", "3090", "batch", shift=0.120, spread=0.20, count=4),
    _fitted("llamacpp", "4090", "batch", shift=0.045, spread=0.22, count=2),
    _fitted("llamacpp", "4090", "decode", shift=-0.056, spread=0.14, count=2),
    _fitted("llamacpp", "4090", "prefill", shift=0.046, spread=0.20, count=3),
    _fitted("llamacpp", "5070", "decode", shift=0.037, spread=0.12, count=17),
    _fitted("llamacpp", "p40", "decode", shift=-0.099, spread=0.10, count=6),
    _fitted("sglang", "h20", "decode", shift=0.015, spread=0.15, count=7),
    _fitted("vllm", "a100-80", "decode", shift=-0.013, spread=0.12, count=4),
)
"""What `groups_of` makes of published rows; spreads of few rows are not below 0.1, and constants
that were chosen on the same rows make them a little too sure, so some are rounded up."""


def efficiency_of(engine: str, machine: str = "", *, is_tuned: bool = True) -> Efficiency:
    """Raises: UsageError for an engine without constants."""
    if engine not in ENGINES:
        raise unknown_name("engine", engine, ENGINES)
    if is_tuned and (engine, machine) in TUNED:
        return TUNED[engine, machine]
    return ENGINES[engine]
