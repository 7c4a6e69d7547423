"""One process: what does not change what is learned, and what is in force."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")
import torch

from _shared.protocol import JobError
from tests.train_settings import SETTINGS
from train.data.batch import Batch
from train.loop import run
from train.model import make_model
from train.ranks import Ranks
from train.settings import Settings
from train.strategies import single
from train.strategies.in_force import check
from train.strategies.strategy import Share

ALONE = Ranks(0, 1, 0, torch.device("cpu"))


class Rows:
    size = 100

    def rows(self, step, numbers) -> Batch:
        generator = torch.Generator().manual_seed(step)
        ids_BT = torch.randint(1, 32, (8, 10), generator=generator)[list(numbers)]
        positions_BT = torch.arange(10).expand(8, 10)
        return Batch(ids_BT, ids_BT.roll(-1, 1), torch.ones(8, 10), positions_BT, 1, ())


def trained(**changed):
    settings = Settings(**{**SETTINGS, "steps": 3, "strategy": "single", **changed})
    strategy = single.build(make_model(settings, 32), settings, ALONE)
    losses = []

    class Heard:
        def after(self, step) -> bool:
            losses.append(step.loss)
            return False

    run(strategy, Rows(), settings, watchers=[Heard()])
    return strategy, losses, settings


@pytest.mark.parametrize("what", ["full", "selective"])
def test_computing_again_changes_nothing(what: str) -> None:
    _, expected, _ = trained()
    _, losses, _ = trained(activation_checkpointing=what)
    assert losses == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("precision", ["f32", "bf16", "fp16"])
def test_what_is_in_force_is_what_was_asked_for(precision: str) -> None:
    strategy, losses, settings = trained(precision=precision)
    in_force = strategy.in_force()
    check(in_force, settings, ALONE)
    assert losses[-1] < losses[0]
    with pytest.raises(JobError, match="asked for strategy fsdp, but single is in force"):
        check(in_force, Settings(**{**SETTINGS, "strategy": "fsdp"}), ALONE)


def test_the_average_of_weights_follows_them() -> None:
    strategy, _, _ = trained(ema_decay=0.5)
    state = strategy.state()
    name = "model.norm.weight"
    assert not torch.equal(state["average"][name], state["model"][name])
    fresh = single.build(make_model(strategy._settings, 32), strategy._settings, ALONE)
    fresh.restore(state)
    assert torch.equal(fresh.state()["average"][name], state["average"][name])


def test_rows_that_cannot_be_shared_out_are_refused() -> None:
    settings = Settings(**{**SETTINGS, "batch_size": 6, "accumulate": 4})
    with pytest.raises(JobError, match="cannot be cut into 4 equal parts"):
        Share.of(0, 4, settings)
    with pytest.raises(JobError, match="fewer than its 4 micro-batches"):
        Share.of(0, 2, settings)
