"""Plain rounding: what is on the grid stays, groups keep their own scale, and names are ignored."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="torch is not installed")

import torch

from hf.matrices import MatrixKind, matrices_of, routers_of
from hf.rounding import is_ignored, round_model, rounded
from tests.expert_models import MODELS, random_model

HOW = {"bits": 2, "group_size": 32, "symmetric": True, "ignore": ["lm_head"]}


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("group_size", [4, 3, -1])
def test_more_bits_are_nearer_and_no_value_moves_more_than_a_step(
    group_size: int, symmetric: bool
) -> None:
    weight = torch.randn(6, 8, generator=torch.Generator().manual_seed(0))
    errors = []
    for bits in (2, 4, 8):
        near = rounded(weight, bits=bits, group_size=group_size, symmetric=symmetric)
        assert near.shape == weight.shape
        errors.append(float((near - weight).abs().max()))
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.05


def test_each_group_has_its_own_scale() -> None:
    weight = torch.tensor([[0.001, -0.001, 100.0, -100.0]])
    near = rounded(weight, bits=4, group_size=2, symmetric=False)
    assert torch.allclose(near, weight, rtol=0.1)
    assert rounded(torch.zeros(2, 4), bits=4, group_size=2, symmetric=True).abs().sum() == 0


def test_names_are_ignored_by_ending_or_pattern() -> None:
    assert is_ignored("model.lm_head", ["lm_head"])
    assert is_ignored("model.layers.0.mlp.gate", [r"re:.*[.]gate$"])
    assert not is_ignored("model.layers.0.mlp.gate_proj", [r"re:.*[.]gate$", "lm_head"])


@pytest.mark.parametrize("model_type", MODELS)
def test_every_matrix_is_rounded_along_its_inputs_and_nothing_else(model_type: str) -> None:
    base = random_model(model_type)
    model = round_model(base, HOW)
    names = set()
    for matrix in matrices_of(base):
        is_experts = matrix.kind is MatrixKind.EXPERTS
        name = matrix.name if is_experts else f"{matrix.name}.weight"
        names.add(name)
        weight = model.get_parameter(name).detach()
        is_turned = weight.shape[-1] != matrix.columns or matrix.kind is MatrixKind.CONV1D
        if model_type == "gpt_oss" and is_experts:
            is_turned = True
        rows = weight.transpose(-1, -2) if is_turned else weight
        for group in rows.reshape(-1, HOW["group_size"])[::61]:
            assert len(group.unique()) <= 4, name
    for name, parameter in base.named_parameters():
        is_same = torch.equal(parameter, model.get_parameter(name))
        assert is_same == (name not in names), name
    assert not {f"{router}.weight" for router in routers_of(base)} & names


def test_ignored_experts_stay() -> None:
    base = random_model("mixtral")
    model = round_model(base, {**HOW, "ignore": ["layers.0.mlp.experts"]})
    name = "model.layers.{}.mlp.experts.down_proj"
    assert torch.equal(base.get_parameter(name.format(0)), model.get_parameter(name.format(0)))
    assert not torch.equal(base.get_parameter(name.format(1)), model.get_parameter(name.format(1)))
