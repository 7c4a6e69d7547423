"""What an engine asks of a node: memory by sizing, processors and cards by its options."""

from __future__ import annotations

import math

import msgspec

from llmops_cli.core.errors import LlmopsError
from llmops_cli.deploy.knob import Knob
from llmops_cli.engines.options import EngineOptions
from llmops_cli.runtime.paths import at_home, is_there
from llmops_cli.sizing.served import ServedModel, kv_bytes, weights_bytes
from llmops_cli.sizing.served_models import read_model

MIB = 1 << 20
FRAMEWORK_BYTES = {"llamacpp": 300 * MIB, "transformers": 1024 * MIB, "vllm": 4096 * MIB}
"""Of a process without a model: measured on Debian 12 (llama.cpp 0.2 GB, torch on a CPU 0.8)."""
USUAL_SEQUENCES = 16
USUAL_TOKENS = 1024
SPARE = 1.25
LOAD_BYTES_PER_S = 150e6
"""A cloud's network volume; what is slower waits longer than the probe is patient for."""
LOAD_BASE_S = 60.0
UNKNOWN_LOAD_S = 600.0
"""As patient as `llmops serve` is itself."""


class Resources(msgspec.Struct, frozen=True, kw_only=True):
    """`memory_mib` None: nobody can say. `cards`: of all nodes together; 0: it runs on CPUs."""

    cpus: Knob
    memory_mib: Knob | None
    cards: int
    load_s: Knob


def resources_of(
    engine: str,
    model: str,
    options: EngineOptions,
    *,
    planned_bytes: Knob | None,
    measured_load_s: Knob | None,
) -> Resources:
    served = _model(model)
    cards = _cards(engine, options)
    memory = planned_bytes and Knob(
        _mib(planned_bytes.value * SPARE), f"{SPARE:g} x {planned_bytes.note}"
    )
    if served is not None:
        memory = _memory(engine, served, options)
    return Resources(
        cpus=_cpus(options, cards),
        memory_mib=memory,
        cards=cards,
        load_s=measured_load_s or _load_s(served),
    )


def _model(reference: str) -> ServedModel | None:
    """None for one that is not here; then nothing is guessed."""
    path = at_home(reference)
    if not is_there(path):
        return None
    try:
        return read_model(str(path))
    except LlmopsError:
        return None


def _cards(engine: str, options: EngineOptions) -> int:
    if engine == "llamacpp":
        return 1 if options.own.get("gpu_layers", "0") not in {"0", ""} else 0
    if engine != "vllm" and options.own.get("device", "").partition(":")[0] != "cuda":
        return 0
    parts = (options.tensor_parallel, options.pipeline_parallel, options.data_parallel)
    return math.prod(part or 1 for part in parts)


def _cpus(options: EngineOptions, cards: int) -> Knob:
    if options.threads:
        return Knob(options.threads, "the file's threads")
    if cards:
        return Knob(4 * cards, "4 for each card: tokenizing, sampling and HTTP")
    return Knob(4, "nobody said: threads of the upstream's options")


def _memory(engine: str, served: ServedModel, options: EngineOptions) -> Knob:
    sequences = options.max_num_seqs or USUAL_SEQUENCES
    tokens = max(options.max_model_len or 0, sequences * USUAL_TOKENS)
    weights = weights_bytes(served)
    cache = kv_bytes(served, tokens)
    total = (weights + cache + FRAMEWORK_BYTES.get(engine, 1024 * MIB)) * SPARE
    note = (
        f"{SPARE:g} x (weights {weights / MIB:.0f} MiB, cache of {tokens} tokens "
        f"{cache / MIB:.0f} MiB, the engine): llmops_cli.sizing"
    )
    return Knob(_mib(total), note)


def _mib(size_bytes: float) -> int:
    return math.ceil(size_bytes / MIB)


def _load_s(served: ServedModel | None) -> Knob:
    if served is None:
        return Knob(UNKNOWN_LOAD_S, "nobody said: --bench UPSTREAM=FOLDER has it measured")
    weights = weights_bytes(served)
    planned_s = LOAD_BASE_S + weights / LOAD_BYTES_PER_S
    return Knob(
        round(planned_s, 1),
        f"planned: {LOAD_BASE_S:.0f} s and {weights / 1e6:.0f} MB at 150 MB/s",
    )
