"""Optimizers by name: what they step, decay, keep and bring back."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")
import torch
from torch import nn

from tests.train_settings import SETTINGS
from train.adafactor import Adafactor
from train.eight_bit import Table, dynamic_table
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


@pytest.mark.parametrize("name", list(OPTIMIZERS))
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


@pytest.mark.parametrize("name", list(OPTIMIZERS))
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


def test_tables_have_a_byte_of_numbers_that_reach_down_seven_decades() -> None:
    signed = dynamic_table(is_signed=True)
    unsigned = dynamic_table(is_signed=False)
    for table in (signed, unsigned):
        assert len(table.unique()) == 256
        assert table.max() == 1
        assert 0 in table
    assert unsigned.min() == 0
    assert signed.min() == pytest.approx(-0.993, abs=1e-3)
    assert unsigned[1] < 1e-6


def test_what_is_written_in_a_byte_is_read_within_its_share_of_the_blocks_largest() -> None:
    torch.manual_seed(3)
    values = torch.randn(5, 600) * torch.logspace(-4, 2, 5)[:, None]
    table = Table(is_signed=True)
    codes, scales = table.zeros(values)
    assert scales.shape == (5, 3)
    table.write(values, codes, scales)
    read = table.read(codes, scales)
    largest = torch.stack([part.abs().amax(1) for part in values.split(256, 1)], 1)
    assert torch.equal(scales, largest)
    error = (read - values).abs() / largest.repeat_interleave(256, 1)[:, :600]
    assert error.max() < 0.01
    again = codes.clone()
    table.write(read, again, scales)
    assert torch.equal(again, codes)


def test_eight_bits_learn_as_32_do_with_a_quarter_of_the_state() -> None:
    def fitted(name: str) -> tuple[float, int]:
        torch.manual_seed(4)
        model = nn.Linear(300, 40)
        inputs = torch.randn(256, 300)
        wanted = inputs @ torch.randn(300, 40)
        optimizers = Optimizers(model, settings(optimizer=name, learning_rate=0.05))
        for _ in range(60):
            loss = (model(inputs) - wanted).square().mean()
            loss.backward()
            optimizers.step(1.0)
        kept = optimizers.state()["weight"]
        size = sum(value.numel() * value.element_size() for value in kept.values())
        return loss.item(), size

    loss, size = fitted("adamw")
    loss_8bit, size_8bit = fitted("adamw8bit")
    assert loss_8bit == pytest.approx(loss, rel=0.05)
    assert size_8bit < 0.28 * size
