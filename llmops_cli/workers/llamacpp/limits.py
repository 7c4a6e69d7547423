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
NORMED_COHERE_LAYERS = 64
"""From so many layers on it looks for norms of queries and keys in Cohere's models."""
LLAMA4_CHUNK = 8192
"""Its tokens of attention, and those after which it scales queries by another temperature."""
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


def _has(name: str, *, value: object = True) -> Callable[[Json], bool]:
    """Whether a field tells that; one that is absent tells nothing."""
    return lambda fields: name in fields and bool(fields[name]) is value


def _has_own_head_size(fields: Json) -> bool:
    told = fields.get("head_dim")
    return told is not None and told * fields["num_attention_heads"] != fields["hidden_size"]


def _has_other_cohere_norms(fields: Json) -> bool:
    is_large = fields["num_hidden_layers"] >= NORMED_COHERE_LAYERS
    return bool(fields.get("use_qk_norm")) is not is_large


def _is_full_otherwise(every: int) -> Callable[[Json], bool]:
    """Unless each layer of so many, the last, sees all that came before."""

    def is_beyond(fields: Json) -> bool:
        layers = fields.get("layer_types") or []
        return any(
            (kind == "full_attention") is not (number % every == 0)
            for number, kind in enumerate(layers, 1)
        )

    return is_beyond


def _never_slides(fields: Json) -> bool:
    layers = fields.get("layer_types") or []
    return bool(layers) and "sliding_attention" not in layers


def _turns_otherwise(fields: Json) -> bool:
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


def _chooses_groups(fields: Json) -> bool:
    is_limited = fields.get("topk_method") == "group_limited_greedy"
    return is_limited and (fields.get("n_group") or 1) != (fields.get("topk_group") or 1)


def _norms_before_gate(fields: Json) -> bool:
    """As Falcon H1's class does unless it is told otherwise; llama.cpp gates first."""
    return bool(fields.get("mamba_rms_norm")) and fields.get("mamba_norm_before_gate") is not False


def _has_two_ranges(fields: Json) -> bool:
    rope = fields.get("rope_parameters") or fields.get("rope_scaling") or {}
    original = rope.get("original_max_position_embeddings")
    is_long = rope.get("rope_type", rope.get("type")) == "longrope"
    return is_long and original is not None and original < fields["max_position_embeddings"]


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
OTHER_ACTIVATION = "another activation than"
NO_SILU = Limit(f"{OTHER_ACTIVATION} SiLU in this architecture", _activates_otherwise(SILU))
NO_GELU = Limit(f"{OTHER_ACTIVATION} GELU in this architecture", _activates_otherwise(GELU))
NO_SQUARED_RELU = Limit(
    f"{OTHER_ACTIVATION} squared ReLU in this architecture", _activates_otherwise(SQUARED_RELU)
)
BIASES = Limit("biases of attention (attention_bias) in this architecture", _has("attention_bias"))
NEEDS_BIASES = Limit(
    "this architecture without biases (attention_bias)", _has("attention_bias", value=False)
)
OWN_HEAD_SIZE = Limit(
    "heads of a size of their own (head_dim) in this architecture", _has_own_head_size
)
PLAIN_ROUTING = Limit(
    "experts whose weights are not normalised (norm_topk_prob)", _has_plain_routing
)
NORMED_ROUTING = Limit(
    "experts whose weights are normalised (norm_topk_prob) in this architecture",
    _has("norm_topk_prob"),
)
LLAMA4 = (
    Limit(
        "other chunks than 8,192 tokens of attention, and another temperature beyond them "
        "(attention_chunk_size, floor_scale, attn_scale)",
        _is_other_llama4,
    ),
    Limit("use_qk_norm with 128 experts, or none with fewer", _has_other_llama4_norms),
    Limit("other layers without rotary embedding than each fourth", _turns_otherwise),
)
LIMITS: dict[str, tuple[Limit, ...]] = {
    "AfmoeForCausalLM": (
        NO_SILU,
        Limit("embeddings that are not scaled (mup_enabled)", _has("mup_enabled", value=False)),
        Limit("other layers with a sliding window than three of four", _is_full_otherwise(4)),
    ),
    "ArceeForCausalLM": (NO_SQUARED_RELU,),
    "BambaForCausalLM": (OTHER_NUMBERS,),
    "BloomForCausalLM": (
        Limit(
            "residuals taken after the norm (apply_residual_connection_post_layernorm)",
            _has("apply_residual_connection_post_layernorm"),
        ),
    ),
    "CohereForCausalLM": (
        NO_SILU,
        BIASES,
        Limit("use_qk_norm below 64 layers, and 64 without it", _has_other_cohere_norms),
    ),
    "Cohere2ForCausalLM": (
        NO_SILU,
        BIASES,
        Limit("other layers with a sliding window than three of four", _is_full_otherwise(4)),
    ),
    "DeepseekV2ForCausalLM": (
        WHOLE_QUERIES,
        NO_SILU,
        NORMED_ROUTING,
        Limit("groups of experts chosen by their best (topk_method)", _chooses_groups),
    ),
    "DeepseekV3ForCausalLM": (
        WHOLE_QUERIES,
        NO_SILU,
        Limit("rotary halves (rope_interleave)", _has("rope_interleave", value=False)),
    ),
    "Dots1ForCausalLM": (GROUPED_HEADS, NO_SILU),
    "Exaone4ForCausalLM": (
        Limit("a sliding window unless there are 64 layers", _has_other_window),
        NO_SILU,
    ),
    "FalconForCausalLM": (NO_GELU, Limit("ALiBi in Falcon", _has("alibi"))),
    "FalconH1ForCausalLM": (
        NO_SILU,
        Limit("Falcon H1's norm before its gate (mamba_norm_before_gate)", _norms_before_gate),
    ),
    "Gemma3nForCausalLM": (GEMMA3N,),
    "Gemma3nForConditionalGeneration": (GEMMA3N,),
    "GemmaForCausalLM": (NO_GELU, BIASES),
    "Glm4ForCausalLM": (NO_SILU,),
    "Glm4MoeForCausalLM": (NO_SILU,),
    "GlmForCausalLM": (NO_SILU,),
    "GPT2LMHeadModel": (
        NO_GELU,
        Limit("scale_attn_by_inverse_layer_idx in GPT-2", _has("scale_attn_by_inverse_layer_idx")),
        Limit("attention that is not scaled", _has("scale_attn_weights", value=False)),
    ),
    "GPTBigCodeForCausalLM": (NO_GELU,),
    "GPTNeoXForCausalLM": (NO_GELU, NEEDS_BIASES),
    "GptOssForCausalLM": (
        Limit("other layers with a sliding window than each second", _is_full_otherwise(2)),
    ),
    "GraniteForCausalLM": (NO_SILU,),
    "GraniteMoeForCausalLM": (NO_SILU,),
    "GraniteMoeSharedForCausalLM": (NO_SILU,),
    "JambaForCausalLM": (OTHER_NUMBERS,),
    "Llama4ForCausalLM": LLAMA4,
    "Llama4ForConditionalGeneration": LLAMA4,
    "MiniCPM3ForCausalLM": (
        Limit("longrope's two ranges in MiniCPM 3: a context beyond the first", _has_two_ranges),
    ),
    "MixtralForCausalLM": (NO_SILU,),
    "NemotronForCausalLM": (NO_SQUARED_RELU, OWN_HEAD_SIZE),
    "OlmoForCausalLM": (NO_SILU, BIASES),
    "Olmo2ForCausalLM": (NO_SILU, BIASES, OWN_HEAD_SIZE),
    "Olmo3ForCausalLM": (
        NO_SILU,
        BIASES,
        OWN_HEAD_SIZE,
        Limit("Olmo 3 without a layer that has a sliding window", _never_slides),
    ),
    "OlmoeForCausalLM": (
        GROUPED_HEADS,
        NO_SILU,
        NORMED_ROUTING,
        Limit("clip_qkv in OLMoE", _has("clip_qkv")),
    ),
    "PhiForCausalLM": (GROUPED_HEADS, NO_GELU),
    "Qwen2MoeForCausalLM": (NO_SILU, NORMED_ROUTING),
    "Qwen3MoeForCausalLM": (PLAIN_ROUTING, NO_SILU, BIASES),
    "Qwen3NextForCausalLM": (PLAIN_ROUTING, NO_SILU),
    "SeedOssForCausalLM": (NO_SILU,),
    "SmolLM3ForCausalLM": (
        NO_SILU,
        BIASES,
        Limit("other layers without rotary embedding than each fourth", _turns_otherwise),
    ),
    "StableLmForCausalLM": (NO_SILU,),
    "Starcoder2ForCausalLM": (
        NO_GELU,
        Limit("StarCoder 2 without biases (use_bias)", _has("use_bias", value=False)),
    ),
}


def refuse_beyond_limits(architecture: str, fields: Json) -> None:
    """Raises: JobError naming what llama.cpp lacks for this configuration."""
    for limit in LIMITS.get(architecture, ()):
        if limit.is_beyond(fields):
            message = f"llama.cpp lacks {limit.lacks} ({architecture})"
            raise JobError("UsageError", message, "--backend transformers may serve it as it is")
