"""Lines of steps go on where a checkpoint was, whatever broke off behind it."""

from __future__ import annotations

import json
from pathlib import Path

from train.watch.lines import StepLines, cut_back


def steps_in(path: Path) -> list[int]:
    return [json.loads(line)["step"] for line in path.read_text().splitlines()]


def test_steps_behind_a_checkpoint_are_cut_off_and_written_again(tmp_path: Path) -> None:
    path = tmp_path / "logs/ids-0.jsonl"
    lines = StepLines(path)
    for step in range(1, 8):
        lines.add({"step": step, "ids": [step]})
    lines.sync()
    lines.cut_back(4)
    lines.add({"step": 5, "ids": [50]})
    lines.close()
    assert steps_in(path) == [1, 2, 3, 4, 5]


def test_half_a_line_goes_too(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step":1}\n{"step":2}\n{"st')
    cut_back(path, 9)
    assert steps_in(path) == [1, 2]


def test_no_file_is_nothing_to_cut(tmp_path: Path) -> None:
    cut_back(tmp_path / "none", 3)
    assert not (tmp_path / "none").exists()
