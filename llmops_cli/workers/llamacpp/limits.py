"""What llama.cpp fixes in its code for an architecture that ours does not write.

A model that differs would not load, or would be computed otherwise without a word.
Source: llama.cpp, src/models/*.cpp.
"""

from collections.abc import Callable
from typing import NamedTuple

from _shared.protocol import JobError, Json

WINDOWED_EXAONE_LAYERS = 64
UNFACTORED_DEEPSEEK_LAYERS = (26, 27)
"""How llama.cpp knows the models that do not factor their queries."""


GEMMA3N_SIZES = {
    "hidden_size_per_layer_input": 256,
    "laurel_rank": 64,
    "altup_num_inputs": 4,
    "altup_active_idx": 0,
}
GEMMA3N_OWN_CACHES = 20
"""Layers with keys and values of their own; later ones take those of the last of them."""
GEMMA3N_SPARSE_LAYERS = 10
GEMMA3N_SPARSITY = 0.95


class Limit(NamedTuple):
    """`lacks`: what llama.cpp has not; `is_beyond`: whether a configuration needs it."""

    lacks: str
    is_beyond: Callable[[Json], bool]


def _has_grouped_heads(fields: Json) -> bool:
    groups = fields.get("num_key_value_heads")
    return groups is not None and groups != fields["num_attention_heads"]


def _has_other_window(fields: Json) -> bool:
    return bool(fields.get("sliding_window")) and (
        fields["num_hidden_layers"] != WINDOWED_EXAONE_LAYERS
    )


def _has_whole_queries(fields: Json) -> bool:
    layers = fields["num_hidden_layers"]
    return fields.get("q_lora_rank") is None and layers not in UNFACTORED_DEEPSEEK_LAYERS


def _is_other_gemma3n(fields: Json) -> bool:
    if any(fields.get(name, size) != size for name, size in GEMMA3N_SIZES.items()):
        return True
    layers = fields["num_hidden_layers"]
    shared = fields["num_kv_shared_layers"]
    dense = layers - GEMMA3N_SPARSE_LAYERS
    sparsity = [GEMMA3N_SPARSITY] * GEMMA3N_SPARSE_LAYERS + [0.0] * dense
    if fields["activation_sparsity_pattern"] != sparsity:
        return True
    if not shared:
        return bool(layers > GEMMA3N_OWN_CACHES)
    return bool(layers - shared != GEMMA3N_OWN_CACHES)


def _always(_fields: Json) -> bool:
    return True


def _has_plain_routing(fields: Json) -> bool:
    return not fields.get("norm_topk_prob")


GROUPED_HEADS = Limit("grouped key and value heads for this architecture", _has_grouped_heads)
WHOLE_QUERIES = Limit(
    "queries that are not factored (q_lora_rank), except in 26 or 27 layers", _has_whole_queries
)
OTHER_NUMBERS = Limit(
    "the arithmetic of this architecture: a file of it was measured to answer otherwise",
    _always,
)
GEMMA3N = Limit(
    "Gemma 3n of other sizes than its own: 256 inputs a layer, a LAuReL rank of 64, 4 inputs of "
    "AltUp, 0.95 of the activations left out in the first 10 layers and none later, 20 layers with "
    "a cache of their own",
    _is_other_gemma3n,
)
LIMITS = {
    "BambaForCausalLM": OTHER_NUMBERS,
    "DeepseekV2ForCausalLM": WHOLE_QUERIES,
    "DeepseekV3ForCausalLM": WHOLE_QUERIES,
    "Dots1ForCausalLM": GROUPED_HEADS,
    "Exaone4ForCausalLM": Limit("a sliding window unless there are 64 layers", _has_other_window),
    "Gemma3nForCausalLM": GEMMA3N,
    "Gemma3nForConditionalGeneration": GEMMA3N,
    "JambaForCausalLM": OTHER_NUMBERS,
    "OlmoeForCausalLM": GROUPED_HEADS,
    "PhiForCausalLM": GROUPED_HEADS,
    "Qwen3MoeForCausalLM": Limit(
        "experts whose weights are not normalised (norm_topk_prob)", _has_plain_routing
    ),
}


def refuse_beyond_limits(architecture: str, fields: Json) -> None:
    """Raises: JobError naming what llama.cpp lacks for this configuration."""
    limit = LIMITS.get(architecture)
    if limit is not None and limit.is_beyond(fields):
        message = f"llama.cpp lacks {limit.lacks} ({architecture})"
        raise JobError("UsageError", message, "--backend transformers may serve it as it is")
