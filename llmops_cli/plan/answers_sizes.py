"""Answers that are counted: parameters, files, caches, states, cards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmops_cli.plan.references import Answer, Reference, Unanswered, exact
from llmops_cli.plan.row_models import row_gpus, row_load, row_model
from llmops_cli.sizing.families import text_part
from llmops_cli.sizing.format_bits import GGUF, check_bits
from llmops_cli.sizing.public_models import config_named
from llmops_cli.sizing.served_models import served_model
from llmops_cli.sizing.towers import VISION
from llmops_cli.sizing.zero import zero_estimate

GIB = 2**30
GGUF_SPREAD = 0.005
"""Of a file's header, and what converters of other versions do otherwise."""
PRINTED_SHARE = 0.01
"""Where a source prints two or three digits."""
WIDE_COPIES = 3
"""Gate, up and their product, of the whole prompt at once."""
ROW_COPIES = 4
"""What a block was given and what its network is, and the norm's copy in f32."""
TORCH_SPREAD = 0.02
STATES_SPREAD = 0.1
"""How often vLLM keeps a state depends on its prefix cache."""
KEPT_BYTES = {"f32": 4, "float32": 4, "float16": 2, "bfloat16": 2, "int8": 1, "int4": 0.5}


def parameters(row: Reference, _context: object) -> Answer:
    """All that a checkpoint has, a tower for pictures included."""
    name = row_model(row).name
    model = served_model(config_named(name), name=name, source=name)
    return exact(model.parameters_total + model.extra_parameters.get(VISION, 0), 0.001)


def file_size(row: Reference, _context: object) -> Answer:
    """By the bits a weight that the row tells, else by the type's."""
    told = row.number("bits_per_weight") or row.number("bpw")
    parameters_told = row.number("params_B")
    if told is not None and parameters_told is not None:
        return exact(parameters_told * 1e9 * check_bits(told) / 8)
    load = row_load(row)
    if told is not None:
        return exact(load.parameters * check_bits(told) / 8)
    spread = GGUF_SPREAD if load.scheme in GGUF and load.scheme != "Q8_0" else PRINTED_SHARE
    return exact(load.weights_bytes, spread)


def f32_size(row: Reference, _context: object) -> Answer:
    return exact(row_load(row).parameters * 4)


def total_size(row: Reference, _context: object) -> Answer:
    dtype = row.text("dtype") or "float16"
    if dtype not in KEPT_BYTES:
        raise Unanswered(f"dtype '{dtype}' is not known")
    return exact(row_load(row).parameters * KEPT_BYTES[dtype])


def weights(row: Reference, _context: object) -> Answer:
    return exact(row_load(row).weights_bytes, 0.02)


def cache_size(row: Reference, _context: object) -> Answer:
    """Of a context, or of a batch of them; by the policy or the engine that the row names."""
    load = row_load(row)
    tokens = row.number("tokens") or row.number("ctx") or row.number("max_model_len")
    if tokens is None:
        raise Unanswered("the row tells no number of tokens")
    batch = row.number("batch") or 1
    policy = row.text("policy") or ""
    if "full" in policy:
        return exact(batch * load.cache_bytes_per_token * tokens)
    part = row.text("part") or ""
    padding = 512 if row.text("engine") == "llama.cpp" else 0
    total = 0.0
    for each in load.cache:
        is_global = each.window is None
        if part.startswith("global") and not is_global:
            continue
        if part.startswith("sliding") and is_global:
            continue
        held = tokens if each.window is None else min(tokens, each.window + padding)
        total += each.bytes_per_token * held
    return exact(batch * total)


def cache_per_token(row: Reference, _context: object) -> Answer:
    sizes = [row.number(name) for name in ("layers", "kv_heads", "head_dim", "dtype_bytes")]
    if None not in sizes:
        layers, heads, dim, each = (float(size) for size in sizes if size is not None)
        return exact(2 * layers * heads * dim * each)
    return exact(row_load(row).cache_bytes_per_token)


def vllm_cache(row: Reference, _context: object) -> Answer:
    """What is left of the share of the card that was seen, by vLLM's own profile."""
    seen = _seen_gib(row)
    share = row.number("gpu_memory_utilization")
    peak = row.number("peak_torch_GiB")
    other = row.number("non_torch_GiB")
    if None in (share, peak):
        raise Unanswered("peak torch memory and gpu_memory_utilization are needed")
    assert share is not None
    assert peak is not None
    return exact((seen * share - peak - (other or 0.0)) * GIB, 0.02)


def _seen_gib(row: Reference) -> float:
    text = row.text("gpu") or ""
    _, _, seen = text.partition("(")
    number = seen.partition(" GiB seen")[0]
    try:
        return float(number)
    except ValueError:
        return row_gpus(row).gpu.device.memory_bytes / GIB


def vllm_concurrency(row: Reference, _context: object) -> Answer:
    """Pool over the cache of the longest sequence. Raises: Unanswered without the card."""
    context = row.number("max_model_len")
    if context is None:
        raise Unanswered("max_model_len is not told")
    cards = row_gpus(row)
    load = row_load(row)
    ways = int(row.number("tp") or cards.count)
    share = row.number("gpu_memory_utilization") or 0.9
    total = cards.gpu.device.memory_bytes * ways * share
    pool = total - load.weights_bytes - 2.5 * GIB * ways
    value = pool / load.cache_bytes(context)
    return Answer(value=value, low=value * 0.8, high=value * 1.25)


def cache_tokens(row: Reference, _context: object) -> Answer:
    available = row.number("available_kv_gib")
    if available is None:
        raise Unanswered("available_kv_gib is not told")
    load = row_load(row, cache_type=row.text("kv"))
    context = row.number("max_model_len")
    if load.state_bytes and context is not None:
        # vLLM tells sequences of the longest length, times that length, where layers have states
        return exact(available * GIB / load.cache_bytes(context) * context, STATES_SPREAD)
    return exact(available * GIB / load.cache_bytes_per_token, 0.05)


def memory_parts(row: Reference, _context: object) -> Answer:
    """Of llama.cpp: the model, its cache, and the buffer that it computes in."""
    load = row_load(row)
    tokens = row.number("ctx")
    if tokens is None:
        raise Unanswered("the row tells no context")
    cache = sum(
        part.bytes_per_token * (tokens if part.window is None else min(tokens, part.window + 512))
        for part in load.cache
    )
    compute = 512 * (load.hidden_size * 4 * 11 + 75_000 * 4)
    values = {"model": load.weights_bytes, "kv": cache, "compute": compute}
    spreads = {"model": 0.03, "kv": 0.005, "compute": 0.6}
    return Answer(
        value=values,
        low={name: value * (1 - spreads[name]) for name, value in values.items()},
        high={name: value * (1 + spreads[name]) for name, value in values.items()},
    )


def memory_total(row: Reference, _context: object) -> Answer:
    """Model, cache, and 0.8 GiB of contexts and buffers on each card."""
    load = row_load(row)
    tokens = row.number("ctx")
    if tokens is None:
        raise Unanswered("the row tells no context")
    cards = row_gpus(row).count
    value = load.weights_bytes + load.cache_bytes(tokens) + 0.5 * GIB * cards
    return exact(value, 0.12)


def torch_memory(row: Reference, _context: object) -> Answer:
    """Weights, the cache of all tokens, and a block's widest moment while the prompt is read.

    Their tables print bytes / 2**30 as GB and / 2**20 as MB.
    """
    load = row_load(row)
    prompt = row.number("input_len") or 0
    tokens = prompt + (row.number("gen") or 0)
    config = text_part(config_named(row_model(row).name))
    width = float(config.get("intermediate_size", 4 * load.hidden_size))
    widest = prompt * (width * WIDE_COPIES + load.hidden_size * ROW_COPIES) * 2
    value = load.weights_bytes + load.cache_bytes(tokens) + widest
    binary = GIB / 1e9 if (row.unit or "").upper() == "GB" else 2**20 / 1e6
    return exact(value / binary, TORCH_SPREAD)


def zero_three(row: Reference, _context: object) -> Answer:
    return exact(_zero(row, stage=3).device)


def zero_two_host(row: Reference, _context: object) -> Answer:
    return exact(_zero(row, stage=2).host)


def zero_two(row: Reference, _context: object) -> Answer:
    return exact(_zero(row, stage=2).device)


def zero_three_host(row: Reference, _context: object) -> Answer:
    return exact(_zero(row, stage=3).host)


def _zero(row: Reference, *, stage: int) -> Any:  # Any: sizing's estimate
    parameters_told = row.number("params")
    largest = row.number("largest_layer") or 0.0
    if parameters_told is None:
        raise Unanswered("the number of parameters is not told")
    options = row.text("options") or ""
    offload = "none"
    if "both" in options:
        offload = "parameters"
    elif "opt" in options or "cpu" in options or "either" in options:
        offload = "none" if "no offload" in options else "optimizer"
    nodes = int(row.number("nodes") or 1)
    return zero_estimate(
        parameters=parameters_told,
        largest_layer=largest,
        stage=stage,
        devices=int(row.number("gpus") or 1) * nodes,
        nodes=nodes,
        offload=offload,
    )


def card(row: Reference, _context: object) -> Answer:
    """The table's own figures of a card; one number is its bandwidth."""
    device = row_gpus(row).gpu.device
    known = {
        "mem_bw_GBs": device.memory_bytes_per_s / 1e9,
        "mem_GiB": device.memory_bytes / GIB,
        "bf16_dense_tflops": device.bf16_flops / 1e12,
        "fp8_dense_tflops": None if device.fp8_flops is None else device.fp8_flops / 1e12,
    }
    if isinstance(row.value, Mapping):
        values = {name: known[name] for name in row.value if known.get(name) is not None}
        return Answer(
            value=values,
            low={name: value * 0.99 for name, value in values.items() if value},
            high={name: value * 1.01 for name, value in values.items() if value},
        )
    return exact(device.memory_bytes_per_s, 0.01)


def full_offload(row: Reference, _context: object) -> Answer:
    """Weights and the cache of the context, as the cache really is (MLA's is a latent vector)."""
    load = row_load(row)
    tokens = row.number("ctx")
    if tokens is None:
        raise Unanswered("the row tells no context")
    return exact(load.weights_bytes + load.cache_bytes(tokens), 0.1)
