"""What llama.cpp fixes in its code is refused by name; what it was written for is not."""

from __future__ import annotations

from typing import Any

import pytest

from _shared.protocol import JobError
from llamacpp.limits import refuse_beyond_limits
from llamacpp.published import add_missing_fields


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
