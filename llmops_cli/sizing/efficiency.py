"""What each engine reaches of a device: constants and the machines that they were fitted on.

Constants were chosen by hand on published measurements and then left alone; the shifts of single
machines are what `llmops plan fit` makes of the same rows. Sources and residuals: docs/PLAN.md.
"""

from __future__ import annotations

import hashlib

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
    bandwidth=0.92,
    layer_s=140e-6,
    expert_layer_s=40e-6,
    unpack_ops=0,
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
    bandwidth=0.8,
    layer_s=1000e-6,
    expert_layer_s=400e-6,
    unpack_ops=4,
    unpack_small_ops=10,
    prefill=0.5,
    prefill_packed=0.4,
    batch=0.4,
    batch_large=0.4,
    queues=True,
    cache_passes=6,
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

PROCESSORS = {
    "llamacpp": msgspec.structs.replace(
        LLAMACPP,
        bandwidth=0.65,
        prefill=1.9,
        prefill_packed=1.9,
        batch=0.48,
        batch_large=0.6,
        packed_times=1.3,
    ),
    "vllm": msgspec.structs.replace(
        VLLM,
        start_s=12e-3,
        layer_s=400e-6,
        prefill=1.9,
        prefill_packed=1.9,
        batch=1.0,
        batch_large=1.0,
        int8_times=1.8,
        packed_times=0.8,
    ),
    "transformers": msgspec.structs.replace(
        TRANSFORMERS,
        start_s=5e-3,
        layer_s=1200e-6,
        prefill=1.8,
        prefill_packed=1.8,
        batch=0.4,
        batch_large=0.4,
        int8_layer_s=1500e-6,
    ),
}
"""On a CPU, against products in f32 and copies as `--this-machine` measures them: kernels of 16
bits do better than the first, and the engine's own Python takes part of each step."""


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
    _fitted("llamacpp", "2080", "decode", shift=0.094, spread=0.1, count=1),
    _fitted("llamacpp", "3090", "batch", shift=0.120, spread=0.15, count=4),
    _fitted("llamacpp", "4090", "batch", shift=0.046, spread=0.15, count=2),
    _fitted("llamacpp", "4090", "decode", shift=-0.056, spread=0.1, count=2),
    _fitted("llamacpp", "4090", "prefill", shift=0.046, spread=0.15, count=3),
    _fitted("llamacpp", "5070", "decode", shift=0.041, spread=0.085, count=17),
    _fitted("llamacpp", "p40", "decode", shift=-0.111, spread=0.084, count=6),
    _fitted("sglang", "h20", "decode", shift=0.016, spread=0.1, count=7),
    _fitted("transformers", "a100-80", "decode", shift=-0.034, spread=0.182, count=112),
    _fitted("vllm", "a100-80", "decode", shift=0.0, spread=0.078, count=146),
)
"""What `groups_of` makes of published rows: those of Transformers and vLLM are Qwen2.5's speed
benchmark (QwenLM/Qwen2.5, docs/source/benchmark/speed_benchmark.rst at 010c37c: vLLM 0.6.3,
Transformers 4.46), whose 0.5B, 3B, 14B and 72B chose the constants above. docs/PLAN.md has what
1.5B, 7B and 32B then say."""


def constants_digest() -> str:
    """Of all constants of engines: a shift that was fitted beside others fits these no more."""
    tuned = {" on ".join(key): value for key, value in TUNED.items()}
    raw = msgspec.json.encode([ENGINES, tuned, PROCESSORS], order="sorted")
    return hashlib.sha256(raw).hexdigest()[:16]


def efficiency_of(
    engine: str,
    machine: str = "",
    *,
    is_tuned: bool = True,
    is_cpu: bool = False,
) -> Efficiency:
    """Raises: UsageError for an engine without constants."""
    if engine not in ENGINES:
        raise unknown_name("engine", engine, ENGINES)
    if is_cpu and engine in PROCESSORS:
        return PROCESSORS[engine]
    if is_tuned and (engine, machine) in TUNED:
        return TUNED[engine, machine]
    return ENGINES[engine]
