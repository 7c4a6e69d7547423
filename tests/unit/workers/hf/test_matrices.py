"""What there is to quantize in a model: every expert, no router, whichever way they are kept."""

from __future__ import annotations

import pytest

pytest.importorskip("transformers", reason="transformers is not installed")

from hf.matrices import MatrixKind, is_ignored, matrices_of, output_name, routers_of
from tests.expert_models import MODELS, blank_model

EXPERTS = {
    "mixtral": 2 * 4 * 3 * 64 * 128,
    "qwen2_moe": 2 * 4 * 3 * 64 * 96,
    "qwen3_moe": 2 * 4 * 3 * 64 * 96,
    "deepseek_v2": 4 * 3 * 64 * 96,
    "deepseek_v3": 4 * 3 * 64 * 96,
    "gpt_oss": 2 * 4 * 3 * 64 * 128,
}
"""Weights in the experts of each: layers, experts, projections, rows, columns."""


@pytest.mark.parametrize("model_type", MODELS)
def test_experts_are_seen_whole(model_type: str) -> None:
    matrices = matrices_of(blank_model(model_type))
    fused = [matrix for matrix in matrices if matrix.kind is MatrixKind.EXPERTS]
    assert sum(matrix.weights for matrix in fused) == EXPERTS.get(model_type, 0)
    for matrix in fused:
        assert matrix.copies == 4
        is_down = matrix.name.endswith("down_proj")
        width = 96 if "moe_intermediate_size" in MODELS[model_type] else 128
        assert matrix.columns == (width if is_down else 64), "columns are the inputs"


@pytest.mark.parametrize("model_type", MODELS)
def test_all_else_of_two_dimensions_is_embedding_output_or_router(model_type: str) -> None:
    model = blank_model(model_type)
    counted = sum(matrix.weights for matrix in matrices_of(model))
    left = set()
    for name, parameter in model.named_parameters():
        if parameter.dim() >= 2:
            counted -= parameter.numel()
            left.add((name, parameter.numel()))
    outside = [size for name, size in left if _is_outside(name)]
    assert counted == -sum(outside)


def _is_outside(name: str) -> bool:
    ends = ("embed_tokens.weight", "lm_head.weight", "wte.weight", "wpe.weight", "proj_bias")
    routers = (".gate.weight", ".router.weight", "shared_expert_gate.weight")
    return name.endswith((*ends, *routers))


def test_routers_that_are_linear_layers_are_known_by_name_or_by_where_they_are() -> None:
    assert routers_of(blank_model("qwen2_moe")) == [
        "model.layers.0.mlp.shared_expert_gate",
        "model.layers.1.mlp.shared_expert_gate",
    ]
    assert routers_of(blank_model("llama")) == []
    model = blank_model("mixtral")
    import torch

    for layer in model.model.layers:
        layer.mlp.picks = torch.nn.Linear(64, 4, bias=False, device="meta")
    assert routers_of(model) == ["model.layers.0.mlp.picks", "model.layers.1.mlp.picks"]


def test_conv1d_is_a_kind_of_its_own() -> None:
    matrices = matrices_of(blank_model("gpt2"))
    assert {matrix.kind for matrix in matrices} == {MatrixKind.CONV1D}
    (first, *_) = matrices
    assert (first.rows, first.columns) == (192, 64)


def test_the_output_matrix_is_found_by_what_it_is() -> None:
    assert output_name(blank_model("gpt2")) == "lm_head"


@pytest.mark.parametrize(
    ("pattern", "is_named"),
    [
        ("lm_head", False),
        ("model.layers.0", True),
        ("layers.0", True),
        ("layers.00", False),
        ("q_proj", True),
        ("proj", False),
        (r"re:q_pr", True),
        (r"re:^q_proj$", False),
    ],
)
def test_ignored_is_what_a_pattern_or_whole_parts_name(pattern: str, is_named: bool) -> None:
    assert is_ignored("model.layers.0.self_attn.q_proj", [pattern]) is is_named
