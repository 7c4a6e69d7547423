"""The curves of a report have the steps that weights learned of, and numbers only."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("torch", reason="torch is not installed")

from _shared.protocol import Events
from tests.train_settings import SETTINGS
from train.curve import Curve
from train.loop import Decision, Step, Verdict
from train.settings import Settings
from train.speed import Arithmetic

NAN = float("nan")
GOOD = Step(number=1, loss=2.0, gradient_norm=1.0, factor=1.0, tokens=10, weight=10.0)


def test_a_step_that_was_left_out_is_in_no_curve() -> None:
    curve = Curve(Settings(**SETTINGS), Arithmetic(flops_per_token=1.0), Events(None))
    curve.after(GOOD)
    skipped = Decision(Verdict.SKIP, ends=False)
    curve.after(GOOD._replace(number=2, loss=NAN, gradient_norm=NAN, decision=skipped))
    curve.after(GOOD._replace(number=3, gradient_norm=float("inf"), skipped=True))
    curve.after(GOOD._replace(number=4, loss=1.5))
    result = curve.result()
    assert result["loss_curve"] == [(1, 2.0), (4, 1.5)]
    assert result["tokens"] == 20
    json.dumps(result, allow_nan=False)


def test_a_resumed_run_goes_on_with_its_curves() -> None:
    curve = Curve(Settings(**SETTINGS), Arithmetic(flops_per_token=1.0), Events(None))
    curve.after(GOOD)
    again = Curve(Settings(**SETTINGS), Arithmetic(flops_per_token=1.0), Events(None))
    again.restore(json.loads(json.dumps(curve.state())))
    again.after(GOOD._replace(number=2, loss=1.0))
    assert again.result()["loss_curve"] == [(1, 2.0), (2, 1.0)]
