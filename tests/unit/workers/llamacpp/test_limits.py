"""What llama.cpp fixes in its code is refused by name; what it was written for is not."""

from __future__ import annotations

from typing import Any

import pytest

from _shared.protocol import JobError
from llamacpp.limits import refuse_beyond_limits
from llamacpp.published import add_missing_fields

SLIDES = "sliding_attention"
FULL = "full_attention"
HEADS = {"num_attention_heads": 4, "hidden_size": 64}
GROUPS = {"q_lora_rank": 8, "num_hidden_layers": 2, "n_group": 4, "topk_group": 2}
LONG = {"rope_type": "longrope", "original_max_position_embeddings": 32}
LAGUNA = [FULL, SLIDES, SLIDES, SLIDES, FULL]
ONE_BASE = {FULL: {"rope_theta": 5e5}, SLIDES: {"rope_theta": 5e5}}
TWO_BASES = {FULL: {"rope_theta": 5e5}, SLIDES: {"rope_theta": 1e4}}
NORMED = {"mamba_rms_norm": True}
LLAMA4 = {
    "max_position_embeddings": 131072,
    "attention_chunk_size": 8192,
    "num_local_experts": 16,
    "use_qk_norm": True,
    "no_rope_layers": [1, 1, 1, 0],
}


@pytest.mark.parametrize(
    ("architecture", "fields", "lacks"),
    [
        ("Exaone4ForCausalLM", {"sliding_window": 4096, "num_hidden_layers": 30}, "64 layers"),
        ("Exaone4ForCausalLM", {"sliding_window": 4096, "num_hidden_layers": 64}, None),
        ("Exaone4ForCausalLM", {"sliding_window": None, "num_hidden_layers": 30}, None),
        ("PhiForCausalLM", {"num_attention_heads": 8, "num_key_value_heads": 2}, "grouped"),
        ("PhiForCausalLM", {"num_attention_heads": 8, "num_key_value_heads": 8}, None),
        ("DeepseekV2ForCausalLM", {"q_lora_rank": None, "num_hidden_layers": 27}, None),
        ("DeepseekV2ForCausalLM", {"q_lora_rank": None, "num_hidden_layers": 12}, "q_lora_rank"),
        ("Qwen3MoeForCausalLM", {"norm_topk_prob": False}, "norm_topk_prob"),
        ("Qwen3MoeForCausalLM", {"norm_topk_prob": True}, None),
        ("MixtralForCausalLM", {}, None),
        ("MixtralForCausalLM", {"hidden_act": "silu"}, None),
        ("MixtralForCausalLM", {"hidden_act": "gelu"}, "activation than SiLU"),
        ("GPT2LMHeadModel", {"activation_function": "gelu_new"}, None),
        ("GPT2LMHeadModel", {"activation_function": "relu"}, "activation than GELU"),
        ("GemmaForCausalLM", {"hidden_activation": None, "hidden_act": "gelu"}, None),
        ("GemmaForCausalLM", {"hidden_activation": "silu", "hidden_act": "gelu"}, "than GELU"),
        ("NemotronForCausalLM", {"hidden_act": "silu"}, "squared ReLU"),
        ("OlmoForCausalLM", {"attention_bias": True}, "attention_bias"),
        ("OlmoForCausalLM", {"attention_bias": False}, None),
        ("Olmo2ForCausalLM", {**HEADS, "head_dim": 32}, "head_dim"),
        ("Olmo2ForCausalLM", {**HEADS, "head_dim": 16}, None),
        ("OlmoeForCausalLM", {"norm_topk_prob": True}, "are normalised"),
        ("OlmoeForCausalLM", {"clip_qkv": 8.0}, "clip_qkv"),
        ("OlmoeForCausalLM", {"clip_qkv": None, "norm_topk_prob": False}, None),
        ("CohereForCausalLM", {"num_hidden_layers": 40, "use_qk_norm": True}, "use_qk_norm"),
        ("CohereForCausalLM", {"num_hidden_layers": 64, "use_qk_norm": True}, None),
        ("Cohere2ForCausalLM", {"layer_types": [SLIDES, SLIDES, SLIDES, FULL]}, None),
        ("Cohere2ForCausalLM", {"layer_types": [SLIDES, FULL]}, "sliding window"),
        ("GptOssForCausalLM", {"layer_types": [SLIDES, FULL]}, None),
        ("GptOssForCausalLM", {"layer_types": [FULL, SLIDES]}, "sliding window"),
        ("Olmo3ForCausalLM", {"layer_types": [FULL, FULL]}, "without a layer"),
        ("SmolLM3ForCausalLM", {"no_rope_layers": [1, 1, 1, 0]}, None),
        ("SmolLM3ForCausalLM", {"no_rope_layers": [1, 0, 1, 0]}, "without rotary"),
        ("Llama4ForCausalLM", LLAMA4, None),
        ("Llama4ForCausalLM", {**LLAMA4, "attention_chunk_size": 4096}, "8,192"),
        ("Llama4ForCausalLM", {**LLAMA4, "floor_scale": 4096}, "8,192"),
        ("Llama4ForCausalLM", {**LLAMA4, "attn_temperature_tuning": False}, "8,192"),
        (
            "Llama4ForCausalLM",
            {**LLAMA4, "floor_scale": 4096, "max_position_embeddings": 4096},
            None,
        ),
        ("Llama4ForCausalLM", {**LLAMA4, "use_qk_norm": False}, "use_qk_norm"),
        ("DeepseekV2ForCausalLM", {**GROUPS, "topk_method": "greedy"}, None),
        ("DeepseekV2ForCausalLM", {**GROUPS, "topk_method": "group_limited_greedy"}, "topk_method"),
        ("DeepseekV3ForCausalLM", {**GROUPS, "rope_interleave": False}, "rope_interleave"),
        ("GPTNeoXForCausalLM", {"attention_bias": False}, "without biases"),
        ("MiniCPM3ForCausalLM", {"rope_parameters": LONG, "max_position_embeddings": 64}, "first"),
        ("MiniCPM3ForCausalLM", {"rope_parameters": LONG, "max_position_embeddings": 32}, None),
        ("FalconH1ForCausalLM", {"mamba_rms_norm": False}, None),
        ("FalconH1ForCausalLM", {"mamba_rms_norm": True}, "before its gate"),
        ("FalconH1ForCausalLM", {**NORMED, "mamba_norm_before_gate": True}, "before its gate"),
        ("FalconH1ForCausalLM", {**NORMED, "mamba_norm_before_gate": False}, None),
        ("ArceeForCausalLM", {"attention_bias": True}, "attention_bias"),
        ("ArceeForCausalLM", {"mlp_bias": True}, "mlp_bias"),
        ("ArceeForCausalLM", {"attention_bias": False, "mlp_bias": False}, None),
        ("SeedOssForCausalLM", {"attention_bias": True}, None),
        ("SeedOssForCausalLM", {"attention_bias": True, "attention_out_bias": True}, "out_bias"),
        ("Ernie4_5ForCausalLM", {"use_bias": True}, "use_bias"),
        ("Ernie4_5_MoeForCausalLM", {"use_bias": False, "moe_layer_interval": 2}, "interval"),
        ("Ernie4_5_MoeForCausalLM", {"use_bias": False, "moe_layer_interval": 1}, None),
        ("HunYuanDenseV1ForCausalLM", {"attention_bias": True}, "attention_bias"),
        ("HunYuanMoEV1ForCausalLM", {}, "no code of a model's folder is run"),
        ("MiMoV2FlashForCausalLM", {}, "measured to answer otherwise"),
        ("SolarOpenForCausalLM", {"hidden_act": "silu"}, None),
        ("SolarOpenForCausalLM", {"hidden_act": "gelu"}, "another activation than SiLU"),
        ("DeepseekV3ForCausalLM", {**GROUPS, "attention_bias": True}, "attention_bias"),
        ("DeepseekV3ForCausalLM", {**GROUPS, "attention_bias": False}, None),
        ("FalconH1ForCausalLM", {"projectors_bias": True}, "projections"),
        ("MambaForCausalLM", {"use_bias": False, "use_conv_bias": True}, None),
        ("MambaForCausalLM", {"use_bias": False, "use_conv_bias": False}, "without biases"),
        ("MPTForCausalLM", {"attn_config": {"softmax_scale": None}}, None),
        ("MPTForCausalLM", {"attn_config": {"softmax_scale": 0.5}}, "softmax_scale"),
        ("MPTForCausalLM", {"attn_config": {"alibi": False}}, "alibi"),
        ("MPTForCausalLM", {"attn_config": {"alibi_bias_max": 16}}, "alibi_bias_max"),
        ("MPTForCausalLM", {}, None),
        ("GptOssForCausalLM", {"swiglu_limit": 7.0, "attention_bias": True}, None),
        ("GptOssForCausalLM", {"swiglu_limit": 5.0}, "swiglu_limit"),
        ("GptOssForCausalLM", {"sliding_window": None}, "without a sliding window"),
        ("GemmaForCausalLM", {"tie_word_embeddings": False}, "tie_word_embeddings"),
        ("GemmaForCausalLM", {}, None),
        ("LagunaForCausalLM", {"sliding_window": 16, "layer_types": LAGUNA}, None),
        ("LagunaForCausalLM", {"sliding_window": 16, "layer_types": [FULL, FULL]}, "three after"),
        ("LagunaForCausalLM", {"sliding_window": 0, "layer_types": [FULL, FULL]}, None),
        ("MellumForCausalLM", {"layer_types": [SLIDES, FULL], "rope_parameters": ONE_BASE}, None),
        ("MellumForCausalLM", {"layer_types": [FULL, FULL]}, "without a layer"),
        ("MellumForCausalLM", {"rope_parameters": TWO_BASES}, "base of their own"),
        ("Lfm2MoeForCausalLM", {"routed_scaling_factor": 1.0, "use_expert_bias": True}, None),
        ("Lfm2MoeForCausalLM", {"routed_scaling_factor": 2.0}, "routed_scaling_factor"),
        ("BambaForCausalLM", {}, "otherwise"),
        ("JambaForCausalLM", {}, "otherwise"),
    ],
)
def test_a_configuration_beyond_llama_cpp_is_refused(
    architecture: str, fields: dict[str, Any], lacks: str | None
) -> None:
    if lacks is None:
        refuse_beyond_limits(architecture, fields)
        return
    with pytest.raises(JobError, match=lacks):
        refuse_beyond_limits(architecture, fields)


def test_what_transformers_leaves_out_is_put_in() -> None:
    deepseek: dict[str, Any] = {"architectures": ["DeepseekV3ForCausalLM"]}
    add_missing_fields(deepseek)
    assert deepseek["scoring_func"] == "sigmoid"
    told = {"architectures": ["DeepseekV3ForCausalLM"], "scoring_func": "softmax"}
    add_missing_fields(told)
    assert told["scoring_func"] == "softmax"
    falcon = {"multi_query": True, "num_attention_heads": 71, "num_kv_heads": 71}
    add_missing_fields(falcon)
    assert falcon["num_kv_heads"] == 1
    newer = {"multi_query": True, "new_decoder_architecture": True, "num_kv_heads": 8}
    add_missing_fields(newer)
    assert newer["num_kv_heads"] == 8
    neox = {
        "rope_parameters": {"partial_rotary_factor": 0.25},
        "hidden_size": 64,
        "num_attention_heads": 2,
    }
    add_missing_fields(neox)
    assert neox["rotary_pct"] == 0.25
    assert neox["rotary_dim"] == 8
    assert "n_ctx" not in neox
    kinds = ["linear_attention", "full_attention"]
    hybrid: dict[str, Any] = {
        "architectures": ["GraniteMoeHybridForCausalLM"],
        "text_config": {"layer_types": kinds},
    }
    add_missing_fields(hybrid)
    assert hybrid["text_config"]["layer_types"] == ["mamba", "attention"]
