"""`quantization_config` of every tool that writes one, as a format with its sizes."""

from __future__ import annotations

from typing import Any

import pytest

from llmops_cli.core.errors import UsageError
from llmops_cli.sizing.load_of import load_of
from llmops_cli.sizing.own_format import own_format
from llmops_cli.sizing.public_models import config_named
from llmops_cli.sizing.served_models import served_model

MATRICES = 6_979_321_856
"""Of Llama-3.1-8B, in its layers."""
KEPT = 8_030_261_248 - MATRICES
EXPERTS_ONLY = [
    "lm_head",
    "re:.*self_attn.*",
    "re:.*shared_experts.*",
    r"re:.*mlp\.(gate|up|gate_up|down)_proj.*",
]


def _compressed(weights: dict[str, object], **more: object) -> dict[str, object]:
    return {
        "quant_method": "compressed-tensors",
        "config_groups": {"group_0": {"targets": ["Linear"], "weights": weights}},
        **more,
    }


def _weights(method: dict[str, Any], model: str = "llama-3.1-8b") -> tuple[str, float]:
    config = {**config_named(model), "quantization_config": method}
    own = own_format(config)
    served = served_model(config, name=model, source=model)
    return own.scheme, load_of(served, scheme=own.scheme, own=own).weights_bytes


@pytest.mark.parametrize(
    ("method", "scheme", "bits"),
    [
        ({"quant_method": "awq", "bits": 4, "group_size": 128}, "AWQ-INT4", 4 + 20 / 128),
        ({"quant_method": "awq", "w_bit": 4, "q_group_size": 64}, "AWQ-INT4", 4 + 20 / 64),
        ({"quant_method": "gptq", "bits": 8, "group_size": 32}, "GPTQ-INT8", 8 + 24 / 32),
        ({"quant_method": "gptq", "bits": 4, "group_size": -1}, "GPTQ-INT4", 4.01),
        ({"quant_method": "auto-round", "bits": 4, "group_size": 128}, "GPTQ-INT4", 4 + 20 / 128),
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, "FP8-BLOCK", 8),
        ({"quant_method": "fbgemm_fp8"}, "FP8", 8),
        ({"quant_method": "bitsandbytes", "load_in_8bit": True}, "INT8", 8),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "NF4-SINGLE", 4.5),
        (
            {"quant_method": "bitsandbytes", "bnb_4bit_use_double_quant": True},
            "NF4",
            4 + 8 / 64,
        ),
        (_compressed({"num_bits": 8, "type": "int"}), "W8A8", 8),
        (_compressed({"num_bits": 8, "type": "float", "strategy": "channel"}), "FP8", 8),
        (_compressed({"num_bits": 4, "type": "int", "group_size": 128}), "W4A16", 4 + 16 / 128),
        (
            _compressed({"num_bits": 4, "type": "int", "group_size": 64, "symmetric": False}),
            "AWQ-INT4",
            4 + 20 / 64,
        ),
        (_compressed({"num_bits": 4, "type": "float", "group_size": 16}), "NVFP4", 4.5),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, "NVFP4", 4.5),
        ({"quant_method": "modelopt", "quantization": {"quant_algo": "FP8"}}, "FP8", 8),
        ({"quant_method": "torchao", "quant_type": "int4_weight_only"}, "W4A16", 4 + 16 / 128),
    ],
)
def test_a_method_is_a_format_of_so_many_bits(
    method: dict[str, object], scheme: str, bits: float
) -> None:
    found, weights = _weights(method)
    assert found == scheme
    assert weights == pytest.approx(MATRICES * bits / 8 + KEPT * 2, rel=0.005)


def test_what_is_left_out_stays_in_16_bits() -> None:
    """Kimi-K2-Thinking: only experts have 4 bits, and its files on the hub are 594 GB."""
    method = _compressed({"num_bits": 4, "type": "int", "group_size": 32}, ignore=EXPERTS_ONLY)
    assert _weights(method, "kimi-k2.5")[1] == pytest.approx(594e9, rel=0.005)


@pytest.mark.parametrize(
    "names",
    [
        ["model.layers.0.mlp.down_proj"],
        ["model.language_model.layers.0.mlp.down_proj"],
        ["*layers.0.mlp.down_proj*"],
        [r"re:.*layers\.0\.mlp\.down_proj$"],
    ],
    ids=["in full", "as a larger model names it", "with a star", "an expression"],
)
def test_every_way_to_name_one_matrix_is_that_matrix(names: list[str]) -> None:
    method = {"quant_method": "fp8", "modules_to_not_convert": names}
    more = _weights(method)[1] - _weights({"quant_method": "fp8"})[1]
    assert more == pytest.approx(4096 * 14336, rel=0.01)


def test_a_quantized_part_of_a_larger_config_is_found() -> None:
    text = {**config_named("llama-3.1-8b"), "quantization_config": {"quant_method": "fp8"}}
    assert own_format({"model_type": "x", "text_config": text}).scheme == "FP8"


def test_a_format_of_experts_is_one_of_all_matrices_without_them() -> None:
    served = served_model(config_named("llama-3.1-8b"), name="model", source="here")
    weights = load_of(served, scheme="MXFP4").weights_bytes
    assert weights == pytest.approx(MATRICES * 4.25 / 8 + KEPT * 2, rel=0.005)


@pytest.mark.parametrize(
    "method",
    [
        {"quant_method": "quip"},
        {"quant_method": "gptq", "bits": 3},
        {"quant_method": "gptq", "bits": "4"},
        {"quant_method": "awq", "bits": 4, "group_size": "all"},
        {"quant_method": "compressed-tensors"},
        _compressed({"num_bits": 2, "type": "int"}),
        {"quant_method": "modelopt", "quant_algo": "MIXED_PRECISION"},
        {"quant_method": "torchao", "quant_type": {"default": {}}},
        {"bits": 4},
    ],
)
def test_what_is_not_known_is_refused_and_not_guessed(method: dict[str, object]) -> None:
    with pytest.raises(UsageError) as refused:
        _weights(method)
    assert refused.value.hint is not None
