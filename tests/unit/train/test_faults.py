"""A rank that ended without a word is described by what it did last."""

from __future__ import annotations

import json
from pathlib import Path

from llmops_cli.core.errors import EngineFailed
from llmops_cli.runtime.kills import kills_for_memory
from llmops_cli.train.faults import explained, last_beats

ENDED = EngineFailed("job 'train' ended (killed by SIGKILL)", hint="its log is train.log")


def wrote(folder: Path, rank: int, *, ended: bool = False) -> None:
    record = {"rank": rank, "process": 7, "step": 12, "phase": "gradients", "ended": ended}
    (folder / f"rank-{rank}.heartbeat").write_text(json.dumps(record).ljust(192))


def test_what_each_rank_did_last_is_told(tmp_path: Path) -> None:
    wrote(tmp_path, 0)
    wrote(tmp_path, 1, ended=True)
    error = explained(ENDED, tmp_path, kills_before=kills_for_memory())
    assert error.message == f"{ENDED.message}; rank 0 was in gradients of step 12"
    assert error.hint == "the same command goes on from the last checkpoint\nits log is train.log"


def test_the_kernels_count_says_that_memory_was_short(tmp_path: Path) -> None:
    error = explained(ENDED, tmp_path, kills_before=-1)
    assert error.message.endswith("the kernel ended a process for lack of memory")
    assert error.hint is not None
    assert error.hint.startswith("a larger --accumulate")


def test_a_heartbeat_that_is_being_written_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "rank-0.heartbeat").write_text("{")
    assert last_beats(tmp_path) == []
    assert last_beats(tmp_path / "none") == []
