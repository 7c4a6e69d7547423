"""Events are told at most ten times a second for each stage, and the last one always."""

from __future__ import annotations

import json
from pathlib import Path

from _shared.protocol import Events, peak_rss_bytes


def test_many_steps_become_few_lines_and_the_last_is_among_them(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    events = Events(path)
    for done in range(1000):
        events.progress("a", done + 1, 1000)
    events.progress("b", 1, 5, unit="x")
    events.close()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines[-1] == {"stage": "b", "done": 1, "total": 5, "unit": "x"}
    stage_a = [line for line in lines if line["stage"] == "a"]
    assert stage_a[0]["done"] == 1
    assert stage_a[-1]["done"] == 1000
    assert len(stage_a) < 100


def test_other_ranks_tell_nothing() -> None:
    Events(None).progress("a", 1, 1)


def test_the_peak_is_what_this_process_has() -> None:
    assert peak_rss_bytes() > 1 << 20
