"""A fit finds what a machine reaches, believes few rows little, and its bands hold the truth."""

from __future__ import annotations

import math
import random

import msgspec
import pytest

from llmops_cli.sizing.calibration import Observation, correction, fit


def _rows(ratios: list[float], machine: str = "4090") -> list[Observation]:
    return [
        Observation(engine="llamacpp", machine=machine, quantity="decode", ratio=ratio)
        for ratio in ratios
    ]


def _here(ratios: list[float]) -> float:
    groups = fit(_rows(ratios))
    return correction(groups, engine="llamacpp", machine="4090", quantity="decode").factor


def test_many_rows_that_agree_are_believed_and_one_is_not_quite() -> None:
    assert _here([0.8] * 20) == pytest.approx(0.8, rel=0.01)
    assert 0.8 < _here([0.8]) < 0.9


def test_another_machine_is_extrapolated_with_a_wider_band() -> None:
    groups = fit(_rows([0.8] * 20))
    here = correction(groups, engine="llamacpp", machine="4090", quantity="decode")
    there = correction(groups, engine="llamacpp", machine="h100", quantity="decode")
    assert there.factor < 1
    assert there.spread > here.spread
    assert "extrapolated" in there.source
    nobody = correction(groups, engine="vllm", machine="4090", quantity="decode")
    assert nobody.factor == 1
    assert nobody.spread > there.spread


def test_bands_hold_new_rows_at_their_rate() -> None:
    """Rows of one machine with a known error: 80 % of further ones lie inside."""
    source = random.Random(7)
    held = 0
    tried = 0
    for _ in range(200):
        ratios = [0.8 * math.exp(source.gauss(0, 0.15)) for _ in range(12)]
        groups = fit(_rows(ratios[:10]))
        found = correction(groups, engine="llamacpp", machine="4090", quantity="decode")
        for ratio in ratios[10:]:
            tried += 1
            held += abs(math.log(ratio / found.factor)) <= found.spread
    assert 0.74 < held / tried < 0.88


def test_bands_of_a_machine_that_was_not_measured_hold_at_their_rate() -> None:
    """Machines differ, and rows of one machine do: both are in the band."""
    source = random.Random(11)
    held = 0
    for _ in range(400):
        means = [source.gauss(0, 0.12) for _ in range(7)]
        rows = [
            row
            for number, mean in enumerate(means[:6])
            for row in _rows([math.exp(source.gauss(mean, 0.06)) for _ in range(6)], str(number))
        ]
        found = correction(fit(rows), engine="llamacpp", machine="new", quantity="decode")
        truth = source.gauss(means[6], 0.06)
        held += abs(truth - math.log(found.factor)) <= found.spread
    assert 0.72 < held / 400 < 0.9


def test_a_row_that_tells_little_moves_little() -> None:
    """A ratio that follows from a tenth of the time is uncertain by ten times as much."""
    clear = _rows([0.8] * 4)
    vague = [
        Observation(engine="llamacpp", machine="4090", quantity="batch", ratio=8, weight=0.1)
        for _ in range(3)
    ]
    clear = [msgspec.structs.replace(each, quantity="batch") for each in clear]
    (group,) = fit([*clear, *vague])
    assert math.exp(group.shift) == pytest.approx(0.8, rel=0.05)
    (alone,) = fit(clear)
    assert group.spread < alone.spread + 0.25


def test_a_band_is_not_stretched_by_one_row_that_is_far_off() -> None:
    usual = fit(_rows([0.8, 0.82, 0.78, 0.8, 0.81, 0.79] * 3))
    one_off = fit(_rows([0.8, 0.82, 0.78, 0.8, 0.81, 0.79] * 3 + [0.2]))
    assert one_off[0].spread < usual[0].spread * 1.5
