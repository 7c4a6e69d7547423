"""A spike is no number, or far above the losses before it; noise and a falling loss are none."""

from __future__ import annotations

import random

import pytest

pytest.importorskip("torch", reason="torch is not installed")

from train.watch.spikes import LEAST, WINDOW, Spikes


def after(losses: list[float]) -> Spikes:
    spikes = Spikes()
    for loss in losses:
        assert spikes.reason(loss, 1.0) is None
        spikes.add(loss)
    return spikes


def noisy(count: int, seed: int = 0) -> list[float]:
    draw = random.Random(seed)
    return [2.0 + draw.gauss(0, 0.1) for _ in range(count)]


def test_what_is_no_number_is_a_spike_from_the_first_step() -> None:
    assert Spikes().reason(float("nan"), 1.0) == "the loss became nan"
    assert Spikes().reason(1.0, float("inf")) == "the norm of the gradients became inf"


def test_a_jump_is_a_spike_once_there_are_losses_to_compare() -> None:
    assert after(noisy(LEAST - 1)).reason(9.0, 1.0) is None
    reason = after(noisy(LEAST)).reason(9.0, 1.0)
    assert reason is not None
    assert reason.startswith("the loss jumped to 9 from 1.9")


@pytest.mark.parametrize("seed", range(20))
def test_noise_is_no_spike(seed: int) -> None:
    after(noisy(500, seed))


def test_a_falling_loss_with_a_step_up_is_none() -> None:
    falling = [8.0 * 0.97**step for step in range(100)]
    spikes = after(falling)
    assert spikes.reason(falling[-1] * 1.2, 1.0) is None


def test_a_constant_loss_has_room_for_a_small_step() -> None:
    spikes = after([1.0] * LEAST)
    assert spikes.reason(1.2, 1.0) is None
    assert spikes.reason(2.0, 1.0) is not None


def test_the_window_goes_with_the_checkpoint() -> None:
    spikes = after(noisy(200))
    restored = Spikes()
    restored.restore(spikes.state())
    assert restored.state() == spikes.state()
    assert len(restored.state()["losses"]) == WINDOW
    assert restored.reason(9.0, 1.0) == spikes.reason(9.0, 1.0)
