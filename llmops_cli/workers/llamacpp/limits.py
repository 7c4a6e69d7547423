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
LIMITS = {
    "BambaForCausalLM": OTHER_NUMBERS,
    "DeepseekV2ForCausalLM": WHOLE_QUERIES,
    "DeepseekV3ForCausalLM": WHOLE_QUERIES,
    "Dots1ForCausalLM": GROUPED_HEADS,
    "Exaone4ForCausalLM": Limit("a sliding window unless there are 64 layers", _has_other_window),
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
