"""What a run needs on the disk is known, and refused with numbers, before its first step."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="torch is not installed")

from _shared.protocol import JobError
from tests.train_settings import SETTINGS
from train.checkpoints.space import check_space, checkpoint_bytes, needed_bytes
from train.settings import Settings

BASE = Settings(**SETTINGS)
BILLION = 1_000_000_000


def test_adamw_keeps_three_numbers_a_weight() -> None:
    assert checkpoint_bytes(BILLION, BASE) == 12 * BILLION
    assert checkpoint_bytes(BILLION, replace(BASE, ema_decay=0.9)) == 16 * BILLION


def test_those_that_are_kept_the_one_in_flight_the_best_and_the_model() -> None:
    asked = replace(BASE, keep=2, evaluate_every=5)
    assert needed_bytes(BILLION, asked) == (4 * 12 + 2) * BILLION
    assert needed_bytes(BILLION, replace(asked, checkpoint_every=0)) == 2 * BILLION


def test_too_little_is_refused_with_both_numbers(tmp_path: Path) -> None:
    check_space(tmp_path / "run/checkpoints", 1000, BASE)
    with pytest.raises(JobError) as refused:
        check_space(tmp_path / "run/checkpoints", 10**15, BASE)
    assert refused.value.kind == "EnvironmentMissing"
    assert "12,000,000.0 GB each" in refused.value.message
    assert "GB are free" in refused.value.message
