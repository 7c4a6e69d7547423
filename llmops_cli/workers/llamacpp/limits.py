"""What llama.cpp fixes in its code for an architecture that ours does not write.

A model that differs would not load, or would be computed otherwise without a word.
"""

from _shared.protocol import JobError, Json
from llamacpp.limit_kinds import (
    ALL_BIASES,
    BIASES,
    FOREIGN_TOKENIZER,
    GEMMA3N,
    GPT_OSS_CLAMP,
    GROUPED_HEADS,
    INNER_BIASES,
    LLAMA4,
    MAMBA,
    NEEDS_BIASES,
    NO_GELU,
    NO_SILU,
    NO_SQUARED_RELU,
    NORMED_ROUTING,
    OTHER_NUMBERS,
    OWN_HEAD_SIZE,
    PLAIN_NORM,
    PLAIN_ROUTE,
    PLAIN_ROUTING,
    UNTIED,
    WHOLE_QUERIES,
    Limit,
    chooses_groups,
    differs,
    has,
    has_other_cohere_norms,
    has_other_mpt_attention,
    has_other_window,
    has_two_bases,
    has_two_ranges,
    is_full_otherwise,
    is_true,
    is_windowed_otherwise,
    never_slides,
    norms_before_gate,
    skips_layers,
    turns_otherwise,
)

LIMITS: dict[str, tuple[Limit, ...]] = {
    "AfmoeForCausalLM": (
        NO_SILU,
        BIASES,
        PLAIN_ROUTE,
        Limit("embeddings that are not scaled (mup_enabled)", has("mup_enabled", value=False)),
        Limit("other layers with a sliding window than three of four", is_full_otherwise(4)),
    ),
    "ArceeForCausalLM": (NO_SQUARED_RELU, BIASES, INNER_BIASES),
    "BambaForCausalLM": (OTHER_NUMBERS,),
    "BloomForCausalLM": (
        Limit(
            "residuals taken after the norm (apply_residual_connection_post_layernorm)",
            has("apply_residual_connection_post_layernorm"),
        ),
    ),
    "CohereForCausalLM": (
        NO_SILU,
        BIASES,
        UNTIED,
        Limit("use_qk_norm below 64 layers, and 64 without it", has_other_cohere_norms),
    ),
    "Cohere2ForCausalLM": (
        NO_SILU,
        BIASES,
        UNTIED,
        Limit("other layers with a sliding window than three of four", is_full_otherwise(4)),
    ),
    "DeepseekV2ForCausalLM": (
        WHOLE_QUERIES,
        NO_SILU,
        BIASES,
        NORMED_ROUTING,
        Limit("groups of experts chosen by their best (topk_method)", chooses_groups),
    ),
    "DeepseekV3ForCausalLM": (
        WHOLE_QUERIES,
        NO_SILU,
        BIASES,
        Limit("rotary halves (rope_interleave)", has("rope_interleave", value=False)),
    ),
    "Dots1ForCausalLM": (GROUPED_HEADS, NO_SILU, BIASES),
    "Ernie4_5ForCausalLM": (NO_SILU, ALL_BIASES),
    "Ernie4_5_ForCausalLM": (NO_SILU, ALL_BIASES),
    "Ernie4_5_MoeForCausalLM": (
        NO_SILU,
        ALL_BIASES,
        Limit("layers without experts between others (moe_layer_interval)", skips_layers),
    ),
    "Exaone4ForCausalLM": (
        Limit("a sliding window unless there are 64 layers", has_other_window),
        NO_SILU,
    ),
    "FalconForCausalLM": (
        NO_GELU,
        Limit("ALiBi in Falcon", has("alibi")),
        Limit("biases in Falcon (bias)", is_true("bias")),
        Limit(
            "Falcon's layers one after the other (parallel_attn)",
            has("parallel_attn", value=False),
        ),
    ),
    "FalconH1ForCausalLM": (
        NO_SILU,
        BIASES,
        *MAMBA,
        Limit("Falcon H1's norm before its gate (mamba_norm_before_gate)", norms_before_gate),
    ),
    "FalconMambaForCausalLM": MAMBA,
    "Gemma3nForCausalLM": (GEMMA3N,),
    "Gemma3nForConditionalGeneration": (GEMMA3N,),
    "GemmaForCausalLM": (NO_GELU, BIASES, UNTIED),
    "Gemma4ForCausalLM": (BIASES,),
    "Gemma4ForConditionalGeneration": (BIASES,),
    "Glm4ForCausalLM": (NO_SILU,),
    "Glm4MoeForCausalLM": (NO_SILU,),
    "Glm4MoeLiteForCausalLM": (NO_SILU, BIASES),
    "GlmForCausalLM": (NO_SILU,),
    "GPT2LMHeadModel": (
        NO_GELU,
        Limit("scale_attn_by_inverse_layer_idx in GPT-2", has("scale_attn_by_inverse_layer_idx")),
        Limit("attention that is not scaled", has("scale_attn_weights", value=False)),
    ),
    "GPTBigCodeForCausalLM": (
        NO_GELU,
        Limit(
            "more than one head of keys and values (multi_query)", has("multi_query", value=False)
        ),
    ),
    "GPTNeoXForCausalLM": (NO_GELU, NEEDS_BIASES),
    "GptOssForCausalLM": (
        NEEDS_BIASES,
        Limit(
            "a clamp of another size than 7 (swiglu_limit)", differs("swiglu_limit", GPT_OSS_CLAMP)
        ),
        Limit(
            "gpt-oss without a sliding window",
            lambda fields: "sliding_window" in fields and not fields["sliding_window"],
        ),
        Limit("other layers with a sliding window than each second", is_full_otherwise(2)),
    ),
    "GraniteForCausalLM": (NO_SILU,),
    "GraniteMoeForCausalLM": (NO_SILU,),
    "GraniteMoeSharedForCausalLM": (NO_SILU,),
    "GraniteMoeHybridForCausalLM": (NO_SILU, *MAMBA),
    "HrmTextForCausalLM": (GROUPED_HEADS,),
    "HunYuanDenseV1ForCausalLM": (NO_SILU, BIASES),
    "HunYuanMoEV1ForCausalLM": (FOREIGN_TOKENIZER,),
    "HYV3ForCausalLM": (NO_SILU, PLAIN_ROUTE),
    "JambaForCausalLM": (OTHER_NUMBERS,),
    "LagunaForCausalLM": (
        BIASES,
        Limit(
            "other layers with a sliding window than three after a full one", is_windowed_otherwise
        ),
        Limit(
            "a cap of the router's values (moe_router_logit_softcapping)",
            is_true("moe_router_logit_softcapping"),
        ),
    ),
    "Lfm2ForCausalLM": (Limit("biases of convolutions (conv_bias)", is_true("conv_bias")),),
    "Lfm2MoeForCausalLM": (
        Limit("biases of convolutions (conv_bias)", is_true("conv_bias")),
        Limit(
            "experts chosen without a bias (use_expert_bias)",
            has("use_expert_bias", value=False),
        ),
        PLAIN_NORM,
        Limit(
            "experts that are scaled (routed_scaling_factor)", differs("routed_scaling_factor", 1)
        ),
    ),
    "Llama4ForCausalLM": LLAMA4,
    "Llama4ForConditionalGeneration": LLAMA4,
    "Mamba2ForCausalLM": MAMBA,
    "MambaForCausalLM": MAMBA,
    "MellumForCausalLM": (
        NO_SILU,
        BIASES,
        PLAIN_NORM,
        Limit("Mellum without a layer that has a sliding window", never_slides),
        Limit("a rotary base of their own for layers with a window", has_two_bases),
    ),
    "MiMoV2FlashForCausalLM": (OTHER_NUMBERS,),
    "MiniCPM3ForCausalLM": (
        BIASES,
        Limit("longrope's two ranges in MiniCPM 3: a context beyond the first", has_two_ranges),
    ),
    "MixtralForCausalLM": (NO_SILU,),
    "MPTForCausalLM": (
        Limit(
            "MPT's attention with another scale or other biases than Transformers computes "
            "(attn_config: softmax_scale, alibi, alibi_bias_max)",
            has_other_mpt_attention,
        ),
    ),
    "NemotronHForCausalLM": MAMBA,
    "NemotronForCausalLM": (NO_SQUARED_RELU, OWN_HEAD_SIZE),
    "OlmoForCausalLM": (NO_SILU, BIASES),
    "Olmo2ForCausalLM": (NO_SILU, BIASES, OWN_HEAD_SIZE),
    "Olmo3ForCausalLM": (
        NO_SILU,
        BIASES,
        OWN_HEAD_SIZE,
        Limit("Olmo 3 without a layer that has a sliding window", never_slides),
    ),
    "OlmoeForCausalLM": (
        GROUPED_HEADS,
        NO_SILU,
        NORMED_ROUTING,
        Limit("clip_qkv in OLMoE", has("clip_qkv")),
    ),
    "PhiForCausalLM": (
        GROUPED_HEADS,
        NO_GELU,
        Limit("norms of queries and keys in Phi (qk_layernorm)", has("qk_layernorm")),
    ),
    "Qwen2MoeForCausalLM": (NO_SILU, NORMED_ROUTING),
    "Qwen3MoeForCausalLM": (PLAIN_ROUTING, NO_SILU, BIASES),
    "Qwen3NextForCausalLM": (PLAIN_ROUTING, NO_SILU, BIASES),
    "Qwen3_5ForCausalLM": (NO_SILU, BIASES),
    "Qwen3_5ForConditionalGeneration": (NO_SILU, BIASES),
    "Qwen3_5MoeForCausalLM": (NO_SILU, BIASES),
    "Qwen3_5MoeForConditionalGeneration": (NO_SILU, BIASES),
    "SeedOssForCausalLM": (
        NO_SILU,
        INNER_BIASES,
        Limit("a bias after attention (attention_out_bias)", is_true("attention_out_bias")),
    ),
    "SmolLM3ForCausalLM": (
        NO_SILU,
        BIASES,
        INNER_BIASES,
        Limit("other layers without rotary embedding than each fourth", turns_otherwise),
    ),
    "SolarOpenForCausalLM": (NO_SILU,),
    "StableLmForCausalLM": (NO_SILU,),
    "Starcoder2ForCausalLM": (
        NO_GELU,
        Limit("StarCoder 2 without biases (use_bias)", has("use_bias", value=False)),
    ),
    "YoutuForCausalLM": (NO_SILU, BIASES),
}


def refuse_beyond_limits(architecture: str, fields: Json) -> None:
    """Raises: JobError naming what llama.cpp lacks for this configuration."""
    for limit in LIMITS.get(architecture, ()):
        if limit.is_beyond(fields):
            message = f"llama.cpp lacks {limit.lacks} ({architecture})"
            raise JobError("UsageError", message, "--backend transformers may serve it as it is")
