"""Optimizers by name: what they step, decay, keep and bring back."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")
import torch
from torch import nn

from tests.train_settings import SETTINGS
from train.adafactor import Adafactor
from train.muon import orthogonal
from train.optimizers import OPTIMIZERS, Optimizers, decay_groups, pieces_of
from train.settings import Settings


class Tiny(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.embed = nn.Embedding(6, 4)
        self.linear = nn.Linear(4, 6)
        self.lm_head = nn.Linear(4, 6, bias=False)
        self.lm_head.weight = self.embed.weight

    def forward(self, ids):
        x = self.embed(ids)
        return self.lm_head(x + self.linear(x)[..., :4])


def settings(**changed) -> Settings:
    return Settings(**{**SETTINGS, **changed})


def learn(model: Tiny, optimizers: Optimizers, steps: int) -> None:
    ids = torch.tensor([1, 2, 3])
    for _ in range(steps):
        model(ids).square().sum().backward()
        optimizers.clip(1.0)
        optimizers.step(1.0)


def test_tied_weights_are_one_piece() -> None:
    names = [piece.name for piece in pieces_of(Tiny())]
    assert names == ["embed.weight", "linear.weight", "linear.bias"]


def test_norms_and_biases_do_not_decay() -> None:
    decayed, plain = decay_groups(pieces_of(Tiny()), settings())
    assert [parameter.ndim for parameter in decayed["params"]] == [2, 2]
    assert [parameter.ndim for parameter in plain["params"]] == [1]
    assert plain["weight_decay"] == 0


@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if name != "adamw8bit"])
def test_what_is_restored_goes_on_as_if_unbroken(name: str) -> None:
    unbroken = Tiny()
    optimizers = Optimizers(unbroken, settings(optimizer=name))
    learn(unbroken, optimizers, 3)
    later = Tiny()
    later.load_state_dict(unbroken.state_dict())
    restored = Optimizers(later, settings(optimizer=name))
    restored.restore(optimizers.state())
    learn(unbroken, optimizers, 3)
    learn(later, restored, 3)
    for one, other in zip(unbroken.parameters(), later.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("name", ["adamw", "muon", "adafactor"])
def test_state_before_the_first_step_changes_nothing(name: str) -> None:
    untouched = Tiny()
    asked = Tiny()
    first = Optimizers(untouched, settings(optimizer=name))
    second = Optimizers(asked, settings(optimizer=name))
    second.state()
    learn(untouched, first, 2)
    learn(asked, second, 2)
    for one, other in zip(untouched.parameters(), asked.parameters(), strict=True):
        assert torch.equal(one, other)


def test_an_offloaded_optimizer_steps_a_copy_and_brings_it_back() -> None:
    here = Tiny()
    away = Tiny()
    learn(here, Optimizers(here, settings()), 3)
    learn(away, Optimizers(away, settings(offload="optimizer")), 3)
    for one, other in zip(here.parameters(), away.parameters(), strict=True):
        assert torch.equal(one, other)


def test_adafactor_is_that_of_torch() -> None:
    torch.manual_seed(1)
    ours = nn.Parameter(torch.randn(5, 7))
    theirs = nn.Parameter(ours.detach().clone())
    one = Adafactor([{"params": [ours], "weight_decay": 0.1}], {ours: ours}, lr=1e-2)
    other = torch.optim.Adafactor([theirs], lr=1e-2, weight_decay=0.1)
    for _ in range(4):
        gradient = torch.randn(5, 7)
        ours.grad = gradient.clone()
        theirs.grad = gradient.clone()
        one.step()
        other.step()
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(6, 6), (3, 8), (8, 3)])
def test_muons_matrix_is_nearly_orthogonal(shape: tuple[int, int]) -> None:
    torch.manual_seed(2)
    values = torch.linalg.svdvals(orthogonal(torch.randn(shape), torch.float32))
    assert values.max() < 1.3
    assert values.min() > 0.4


def test_eight_bits_without_the_library_say_what_is_missing() -> None:
    if find_spec("bitsandbytes"):
        pytest.skip("bitsandbytes is installed")
    with pytest.raises(Exception, match="needs bitsandbytes"):
        Optimizers(Tiny(), settings(optimizer="adamw8bit"))
