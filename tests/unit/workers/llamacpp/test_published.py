"""What llama.cpp's converter is told of a configuration, whatever that leaves null."""

from __future__ import annotations

from typing import Any

import pytest

from llamacpp.published import add_missing_fields


@pytest.mark.parametrize(
    ("given", "share"),
    [
        ({"hidden_size": 64, "num_attention_heads": 4}, 1.0),
        ({"hidden_size": None, "num_attention_heads": None}, 1.0),
        ({"hidden_size": 64, "rope_parameters": {"partial_rotary_factor": None}}, 1.0),
        ({"hidden_size": 64, "rope_parameters": {"partial_rotary_factor": 0.5}}, 0.5),
        ({"hidden_size": 64, "rope_parameters": None, "text_config": None}, 1.0),
    ],
    ids=str,
)
def test_nulls_are_what_is_not_there(given: dict[str, Any], share: float) -> None:
    fields = {"architectures": ["PhiForCausalLM"], **given}
    add_missing_fields(fields)
    assert fields["rotary_pct"] == share


def test_a_nemotron_h_without_experts_has_a_pattern_and_none_of_their_numbers() -> None:
    kinds = ["linear_attention", "full_attention", "mamba", "mlp"]
    experts = {"num_experts_per_tok": 2, "n_routed_experts": 8}
    named = {"architectures": ["NemotronHForCausalLM"], **experts}
    dense: dict[str, Any] = {**named, "layers_block_type": kinds}
    add_missing_fields(dense)
    assert dense["hybrid_override_pattern"] == "M*M-"
    assert not experts.keys() & dense.keys()
    mixture: dict[str, Any] = {**named, "layers_block_type": ["mamba", "moe"]}
    add_missing_fields(mixture)
    assert mixture["hybrid_override_pattern"] == "ME"
    assert mixture["num_experts_per_tok"] == 2


@pytest.mark.parametrize(
    ("architecture", "expected"), [("ModernBertModel", 1e-5), ("FalconH1ForCausalLM", None)]
)
def test_modern_bert_has_the_old_name_of_its_epsilon(
    architecture: str, expected: float | None
) -> None:
    fields: dict[str, Any] = {"architectures": [architecture], "norm_eps": 1e-5}
    add_missing_fields(fields)
    assert fields.get("layer_norm_eps") == expected


def test_a_solar_open_turns_whole_heads_and_has_experts_in_every_layer() -> None:
    fields: dict[str, Any] = {"architectures": ["SolarOpenForCausalLM"], "hidden_size": 64}
    fields["first_k_dense_replace"] = 1
    add_missing_fields(fields)
    assert fields["partial_rotary_factor"] == 1.0
    assert fields["first_k_dense_replace"] == 0
