"""What a model is evaluated by has no dropout in it, and training goes on with it."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="torch is not installed")

import torch

from train.loss import without_dropout


def test_the_same_rows_have_the_same_loss_each_time() -> None:
    model = torch.nn.Dropout(0.5)
    model.train()
    values = torch.ones(64)
    with without_dropout(model):
        assert model(values).equal(values)
    assert model.training
    assert not model(values).equal(values)
