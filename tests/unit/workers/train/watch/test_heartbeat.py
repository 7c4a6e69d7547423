"""What a rank does is read by the others from its file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="torch is not installed")

from train.watch.heartbeat import Heartbeat, path_of, read_beats


def test_step_and_phase_are_told(tmp_path: Path) -> None:
    heart = Heartbeat(tmp_path, 1)
    heart.phase(12, "gradients")
    (beat,) = read_beats(tmp_path, 3)
    assert beat.doing() == "gradients of step 12"
    assert beat.process == os.getpid()
    assert 0 <= beat.since_s < 60
    assert not beat.ended
    heart.end(13)
    (beat,) = read_beats(tmp_path, 3)
    assert beat.ended


def test_a_file_that_is_being_written_is_no_beat(tmp_path: Path) -> None:
    path_of(tmp_path, 0).write_text("{")
    assert read_beats(tmp_path, 1) == []
