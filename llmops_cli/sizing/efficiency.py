"""What each engine reaches of a device: constants and the machines that they were fitted on.

Constants were chosen by hand on published measurements and then left alone; the shifts of single
machines are what `llmops plan fit` makes of the same rows. Sources and residuals: docs/PLAN.md.
"""

from __future__ import annotations

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
}
FITTED: tuple[Group, ...] = ()


def efficiency_of(engine: str) -> Efficiency:
    """Raises: UsageError for an engine without constants."""
    if engine not in ENGINES:
        raise unknown_name("engine", engine, ENGINES)
    return ENGINES[engine]
