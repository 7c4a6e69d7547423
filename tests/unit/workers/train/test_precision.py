"""The scale of losses in fp16."""

from __future__ import annotations

import math

import pytest

pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")

from train.precision import FIRST_SCALE, GROWS_AFTER_STEPS, LossScale


def test_other_precisions_have_none() -> None:
    scale = LossScale.of("bf16")
    scale.observe(math.inf)
    scale.adapt()
    assert scale.value == 1.0
    assert not scale.overflowed
    assert scale.state() == {}


def test_an_overflow_halves_it_and_is_counted() -> None:
    scale = LossScale.of("fp16")
    scale.observe(math.inf)
    assert scale.overflowed
    scale.adapt()
    assert scale.value == FIRST_SCALE / 2
    assert scale.skipped == 1


def test_good_steps_double_it_and_state_comes_back() -> None:
    scale = LossScale.of("fp16")
    for _ in range(GROWS_AFTER_STEPS - 1):
        scale.observe(1.0)
        scale.adapt()
    later = LossScale.of("fp16")
    later.restore(scale.state())
    later.observe(1.0)
    later.adapt()
    assert later.value == FIRST_SCALE * 2
