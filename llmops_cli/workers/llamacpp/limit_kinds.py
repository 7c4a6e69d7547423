"""What llama.cpp may lack for a model, each with the configurations that need it.

Which architecture has which of these limits stands in limits.py.
Source: llama.cpp, src/models/*.cpp.
"""

from collections.abc import Callable
from typing import NamedTuple

from _shared.protocol import Json

WINDOWED_EXAONE_LAYERS = 64
UNFACTORED_DEEPSEEK_LAYERS = (26, 27)
"""How llama.cpp knows the models that do not factor their queries."""
NORMED_COHERE_LAYERS = 64
"""From so many layers on it looks for norms of queries and keys in Cohere's models."""
LAYER_KINDS = ("full_attention", "sliding_attention")
LAGUNA_PERIOD = 4
LLAMA4_CHUNK = 8192
"""Its tokens of attention, and those after which it scales queries by another temperature."""
GPT_OSS_CLAMP = 7.0
MPT_BIAS_MAX = 8
MAVERICK_EXPERTS = 128
"""By so many experts it knows the Llama 4 that has no norms of queries and keys."""


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


def has_other_window(fields: Json) -> bool:
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


SILU = ("silu", "swish")
GELU = ("gelu", "gelu_new", "gelu_fast", "gelu_pytorch_tanh", "gelu_python_tanh")
SQUARED_RELU = ("relu2",)
ACTIVATION_FIELDS = ("hidden_activation", "activation_function", "activation", "hidden_act")
"""The first that a configuration tells is the one that its class reads."""


def _activates_otherwise(known: tuple[str, ...]) -> Callable[[Json], bool]:
    def is_beyond(fields: Json) -> bool:
        told = [fields[name] for name in ACTIVATION_FIELDS if fields.get(name) is not None]
        return bool(told) and told[0] not in known

    return is_beyond


def has(name: str, *, value: object = True) -> Callable[[Json], bool]:
    """Whether a field tells that; one that is absent tells nothing."""
    return lambda fields: name in fields and bool(fields[name]) is value


def _has_own_head_size(fields: Json) -> bool:
    told = fields.get("head_dim")
    return told is not None and told * fields["num_attention_heads"] != fields["hidden_size"]


def has_other_cohere_norms(fields: Json) -> bool:
    is_large = fields["num_hidden_layers"] >= NORMED_COHERE_LAYERS
    return bool(fields.get("use_qk_norm")) is not is_large


def is_full_otherwise(every: int) -> Callable[[Json], bool]:
    """Unless each layer of so many, the last, sees all that came before."""

    def is_beyond(fields: Json) -> bool:
        layers = fields.get("layer_types") or []
        return any(
            (kind == "full_attention") is not (number % every == 0)
            for number, kind in enumerate(layers, 1)
        )

    return is_beyond


def never_slides(fields: Json) -> bool:
    layers = fields.get("layer_types") or []
    return bool(layers) and "sliding_attention" not in layers


def turns_otherwise(fields: Json) -> bool:
    """Unless each fourth layer is without rotary embedding. 1 is a layer that has one."""
    layers = fields.get("no_rope_layers") or []
    return any(bool(turns) is (number % 4 == 0) for number, turns in enumerate(layers, 1))


def _is_other_llama4(fields: Json) -> bool:
    """By what llama.cpp does beyond 8,192 tokens, where no check reads on."""
    longest = fields["max_position_embeddings"]
    chunk = fields.get("attention_chunk_size") or longest
    if chunk != LLAMA4_CHUNK and longest > min(chunk, LLAMA4_CHUNK):
        return True
    floor = fields.get("floor_scale", LLAMA4_CHUNK)
    is_tuned = bool(fields.get("attn_temperature_tuning", True))
    is_usual = is_tuned and (floor, fields.get("attn_scale", 0.1)) == (LLAMA4_CHUNK, 0.1)
    return not is_usual and longest > min(floor, LLAMA4_CHUNK)


def _has_other_llama4_norms(fields: Json) -> bool:
    is_maverick = fields["num_local_experts"] == MAVERICK_EXPERTS
    return bool(fields.get("use_qk_norm", True)) is is_maverick


def chooses_groups(fields: Json) -> bool:
    is_limited = fields.get("topk_method") == "group_limited_greedy"
    return is_limited and (fields.get("n_group") or 1) != (fields.get("topk_group") or 1)


def norms_before_gate(fields: Json) -> bool:
    """As Falcon H1's class does unless it is told otherwise; llama.cpp gates first."""
    return bool(fields.get("mamba_rms_norm")) and fields.get("mamba_norm_before_gate") is not False


def has_two_bases(fields: Json) -> bool:
    """Whether layers with a window turn by another base than those that see all."""
    ropes = fields.get("rope_parameters") or {}
    bases = {ropes[kind].get("rope_theta") for kind in LAYER_KINDS if ropes.get(kind)}
    return len(bases) > 1


def has_two_ranges(fields: Json) -> bool:
    rope = fields.get("rope_parameters") or fields.get("rope_scaling") or {}
    original = rope.get("original_max_position_embeddings")
    is_long = rope.get("rope_type", rope.get("type")) == "longrope"
    return is_long and original is not None and original < fields["max_position_embeddings"]


def is_true(*names: str) -> Callable[[Json], bool]:
    """Whether one of these fields is."""
    return lambda fields: any(fields.get(name) for name in names)


def differs(name: str, value: float) -> Callable[[Json], bool]:
    """Whether a field tells another number; one that is absent or null tells none."""
    return lambda fields: fields.get(name) is not None and fields[name] != value


def is_windowed_otherwise(fields: Json) -> bool:
    """Whether a window is on other layers than all but the first of each four."""
    layers = fields.get("layer_types") or []
    return bool(fields.get("sliding_window")) and any(
        (kind == "full_attention") is not (number % LAGUNA_PERIOD == 0)
        for number, kind in enumerate(layers)
    )


def has_other_mpt_attention(fields: Json) -> bool:
    attention = fields.get("attn_config") or {}
    is_scaled = attention.get("softmax_scale") is not None
    is_biased = attention.get("alibi", True)
    bias = attention.get("alibi_bias_max", MPT_BIAS_MAX)
    return is_scaled or not is_biased or bias != MPT_BIAS_MAX


def skips_layers(fields: Json) -> bool:
    """Whether some layers after the first with experts have none."""
    return (fields.get("moe_layer_interval") or 1) != 1


GROUPED_HEADS = Limit("grouped key and value heads for this architecture", _has_grouped_heads)
WHOLE_QUERIES = Limit(
    "queries that are not factored (q_lora_rank), except in 26 or 27 layers", _has_whole_queries
)
OTHER_NUMBERS = Limit(
    "the arithmetic of this architecture: a file of it was measured to answer otherwise",
    _always,
)
FOREIGN_TOKENIZER = Limit(
    "a way to read this architecture's tokenizer but the Python code that comes with it, and no "
    "code of a model's folder is run",
    _always,
)
GEMMA3N = Limit(
    "Gemma 3n of other sizes than its own: 256 inputs a layer, a LAuReL rank of 64, 4 inputs of "
    "AltUp, 0.95 of the activations left out in the first 10 layers and none later, 20 layers with "
    "a cache of their own",
    _is_other_gemma3n,
)
OTHER_ACTIVATION = "another activation than"
NO_SILU = Limit(f"{OTHER_ACTIVATION} SiLU in this architecture", _activates_otherwise(SILU))
NO_GELU = Limit(f"{OTHER_ACTIVATION} GELU in this architecture", _activates_otherwise(GELU))
NO_SQUARED_RELU = Limit(
    f"{OTHER_ACTIVATION} squared ReLU in this architecture", _activates_otherwise(SQUARED_RELU)
)
BIASES = Limit("biases of attention (attention_bias) in this architecture", has("attention_bias"))
INNER_BIASES = Limit(
    "biases of feed-forward layers (mlp_bias) in this architecture", is_true("mlp_bias")
)
ALL_BIASES = Limit("biases (use_bias) in this architecture", is_true("use_bias"))
MIXER_BIASES = Limit(
    "biases of a Mamba layer's projections (use_bias, mamba_proj_bias, projectors_bias)",
    is_true("use_bias", "mamba_proj_bias", "projectors_bias"),
)
PLAIN_CONVOLUTIONS = Limit(
    "convolutions without biases (use_conv_bias, mamba_conv_bias)",
    lambda fields: fields.get("use_conv_bias") is False or fields.get("mamba_conv_bias") is False,
)
MAMBA = (MIXER_BIASES, PLAIN_CONVOLUTIONS)
UNTIED = Limit(
    "a head of its own in this architecture (tie_word_embeddings)",
    has("tie_word_embeddings", value=False),
)
PLAIN_ROUTE = Limit(
    "experts whose weights are not normalised (route_norm)", has("route_norm", value=False)
)
NEEDS_BIASES = Limit(
    "this architecture without biases (attention_bias)", has("attention_bias", value=False)
)
OWN_HEAD_SIZE = Limit(
    "heads of a size of their own (head_dim) in this architecture", _has_own_head_size
)
PLAIN_ROUTING = Limit(
    "experts whose weights are not normalised (norm_topk_prob)", _has_plain_routing
)
PLAIN_NORM = Limit(
    "experts whose weights are not normalised (norm_topk_prob)",
    has("norm_topk_prob", value=False),
)
NORMED_ROUTING = Limit(
    "experts whose weights are normalised (norm_topk_prob) in this architecture",
    has("norm_topk_prob"),
)
LLAMA4 = (
    BIASES,
    Limit(
        "other chunks than 8,192 tokens of attention, and another temperature beyond them "
        "(attention_chunk_size, floor_scale, attn_scale)",
        _is_other_llama4,
    ),
    Limit("use_qk_norm with 128 experts, or none with fewer", _has_other_llama4_norms),
    Limit("other layers without rotary embedding than each fourth", turns_otherwise),
)
