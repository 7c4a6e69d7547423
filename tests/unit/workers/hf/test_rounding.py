"""Plain rounding: what is on the grid stays, groups keep their own scale, and names are ignored."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="torch is not installed")

import torch

from hf.rounding import is_ignored, rounded


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
