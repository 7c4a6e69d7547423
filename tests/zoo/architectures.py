"""Every architecture that the converter knows, and what it must refuse of each."""

from __future__ import annotations

from tests.zoo import tokenizers as t
from tests.zoo.case import COMPOSES, FALLBACK, GEMMA, Case, Json, having, without
from tests.zoo.texts import DECOMPOSED
from tests.zoo.weights import (
    head_alone,
    of_base_model,
    of_language_model,
    other_head,
    same_head,
    with_bias,
    without_tensor,
)


def published_gemma3(config: Json) -> None:
    """As Gemma 3's own config.json is: a text part that leaves the class's defaults out."""
    kept = (
        "hidden_size",
        "intermediate_size",
        "num_hidden_layers",
        "vocab_size",
        "max_position_embeddings",
        "sliding_window",
    )
    text = {name: config[name] for name in kept}
    text |= {"model_type": "gemma3_text", "rope_scaling": {"factor": 8.0, "rope_type": "linear"}}
    config.clear()
    config |= {
        "architectures": ["Gemma3ForConditionalGeneration"],
        "model_type": "gemma3",
        "text_config": text,
        "vision_config": SMALL_VISION,
        "mm_tokens_per_image": 4,
        "torch_dtype": "float32",
    }


SMALL_VISION = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": 8,
    "patch_size": 4,
    "model_type": "siglip_vision_model",
}


GEMMA3 = {**GEMMA, "num_hidden_layers": 6}
PUBLISHED = {
    **GEMMA3,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "head_dim": 256,
    "query_pre_attn_scalar": 256,
    "rope_parameters": {
        "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
        "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
    },
}
ARCHITECTURES = {
    "llama": Case(config={"tie_word_embeddings": False}),
    "llama-tied": Case(config={"tie_word_embeddings": True}),
    "llama-biases": Case(config={"attention_bias": True, "mlp_bias": True}),
    "llama-wide-heads": Case(config={"head_dim": 32}),
    "llama-gelu": Case(config={"hidden_act": "gelu"}, refused="hidden_act 'gelu'"),
    "llama-relu": Case(config={"hidden_act": "relu"}, refused="hidden_act 'relu'"),
    "llama-swish": Case(edit=having(hidden_act="swish")),
    "llama-bare-config": Case(
        config={"rms_norm_eps": 1e-6, "num_key_value_heads": 4},
        edit=without(
            "rms_norm_eps",
            "num_key_value_heads",
            "head_dim",
            "hidden_act",
            "tie_word_embeddings",
            "attention_bias",
            "mlp_bias",
            "rope_parameters",
            "torch_dtype",
        ),
    ),
    "llama-no-architectures": Case(edit=without("architectures")),
    "llama-null-text-config": Case(edit=having(text_config=None, pad_token_id=-1)),
    "llama-both-sides": Case(edit=having(is_causal=False), refused="is_causal is False"),
    "qwen2-both-sides": Case("Qwen2", edit=having(is_causal=None), refused="is_causal is None"),
    "llama-endless": Case(
        edit=having(max_position_embeddings=10**12), refused="max_position_embeddings is 1000000"
    ),
    "llama-other-type": Case(edit=having(model_type="mistral"), refused="model_type 'mistral'"),
    "llama-tied-other-head": Case(config={"tie_word_embeddings": True}, weights=other_head),
    "llama-tied-same-head": Case(config={"tie_word_embeddings": True}, weights=same_head),
    "llama-tied-head-alone": Case(config={"tie_word_embeddings": True}, weights=head_alone),
    "llama-base-names": Case(weights=of_base_model),
    "qwen3-base-names": Case(
        "Qwen3", {"head_dim": 32, "tie_word_embeddings": True}, weights=of_base_model
    ),
    "llama-no-head": Case(
        weights=without_tensor("lm_head.weight"), refused="hold no lm_head.weight"
    ),
    "llama-no-norm": Case(
        weights=without_tensor("model.layers.1.input_layernorm.weight"),
        refused="hold no model.layers.1.input_layernorm.weight",
    ),
    "llama-extra-bias": Case(weights=with_bias, refused="q_proj.bias' has no place"),
    "llama-small-vocab": Case(edit=having(vocab_size=500), refused="has shape (512, 64)"),
    "mistral": Case("Mistral", {"sliding_window": None, "head_dim": 32}, FALLBACK),
    "mistral-window": Case(
        "Mistral", {"sliding_window": 24}, context=24, notices=("--beyond-window",)
    ),
    "mistral-window-default": Case(
        "Mistral", {"sliding_window": 4096}, edit=without("sliding_window"), context=256
    ),
    "qwen2": Case("Qwen2", {"tie_word_embeddings": True}, **COMPOSES),
    "qwen2-window": Case(
        "Qwen2",
        {"use_sliding_window": True, "sliding_window": 24, "max_window_layers": 1},
        context=24,
        notices=("--beyond-window", "NFC"),
        other_texts=(DECOMPOSED,),
    ),
    "qwen2-unused-window": Case(
        "Qwen2",
        {"use_sliding_window": False, "sliding_window": 24, "max_window_layers": 1},
        **COMPOSES,
    ),
    "qwen2-wide-heads": Case("Qwen2", {"head_dim": 32}, refused="no head size of its own"),
    "qwen3": Case("Qwen3", {"head_dim": 32}),
    "qwen3-bias": Case("Qwen3", {"attention_bias": True}, refused="has no bias after attention"),
    "qwen3-window": Case(
        "Qwen3",
        {"use_sliding_window": True, "sliding_window": 24, "max_window_layers": 0, "head_dim": 16},
        context=24,
        notices=("--beyond-window",),
    ),
    "phi3": Case("Phi3", {}, FALLBACK),
    "phi3-relu": Case("Phi3", {"hidden_act": "relu"}, FALLBACK, refused="hidden_act 'relu'"),
    "phi3-window": Case(
        "Phi3", {"sliding_window": 24}, FALLBACK, context=24, notices=("--beyond-window",)
    ),
    "gemma2": Case("Gemma2", GEMMA, t.trained()),
    "gemma2-query-scale": Case("Gemma2", {**GEMMA, "query_pre_attn_scalar": 37}, FALLBACK),
    "gemma2-no-caps": Case(
        "Gemma2",
        {**GEMMA, "attn_logit_softcapping": None, "final_logit_softcapping": None},
        FALLBACK,
    ),
    "gemma2-layers": Case(
        "Gemma2",
        {**GEMMA, "layer_types": ["full_attention", "sliding_attention"]},
        FALLBACK,
    ),
    "gemma2-gelu": Case(
        "Gemma2", {**GEMMA, "hidden_activation": "gelu"}, FALLBACK, refused="activation 'gelu'"
    ),
    "gemma2-other-head": Case(
        "Gemma2", GEMMA, FALLBACK, weights=other_head, refused="has no output head"
    ),
    "gemma3": Case("Gemma3Text", GEMMA3, FALLBACK),
    "gemma3-query-scale": Case("Gemma3Text", {**GEMMA3, "query_pre_attn_scalar": 37}, FALLBACK),
    "gemma3-published": Case(
        "Gemma3Text", PUBLISHED, FALLBACK, edit=published_gemma3, weights=of_language_model
    ),
    "gemma3-pattern": Case(
        "Gemma3Text",
        {**GEMMA3, "num_hidden_layers": 3},
        FALLBACK,
        edit=lambda config: (config.pop("layer_types"), config.update(sliding_window_pattern=3)),
    ),
    "gemma3-all-full": Case(
        "Gemma3Text",
        {**GEMMA3, "num_hidden_layers": 2, "layer_types": ["full_attention"] * 2},
        FALLBACK,
    ),
    "gemma3-other-head": Case("Gemma3Text", GEMMA3, FALLBACK, weights=other_head),
    "gemma3-cap": Case("Gemma3Text", {**GEMMA3, "final_logit_softcapping": 20.0}, FALLBACK),
    "gemma3-bidirectional": Case(
        "Gemma3Text",
        {**GEMMA3, "use_bidirectional_attention": True},
        FALLBACK,
        refused="use_bidirectional_attention",
    ),
}
