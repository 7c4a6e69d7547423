"""A job of one process and of several: who writes, whose error counts, what stays."""

from __future__ import annotations

import json
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest

from llmops_cli.core.errors import EngineFailed, Interrupted, UsageError
from llmops_cli.core.progress import Progress, Silent
from llmops_cli.core.spec import JobSpec
from llmops_cli.runtime.job import JobResult, run_job
from tests.unit.heard import Heard

PROGRAM = """
import os, sys, time
from pathlib import Path
from _shared.protocol import JobError, run_worker

def work(job_input, events):
    rank = int(os.environ.get("RANK", "0"))
    events.progress("work", 1, 1)
    said = Path(sys.argv[1]) / f"seen-by-{rank}"
    said.write_text(str(os.getpid()))
    if job_input.get("gather"):
        import torch
        import torch.distributed as dist
        dist.init_process_group("gloo")
        value = torch.tensor([float(rank + 1)])
        dist.all_reduce(value)
        dist.destroy_process_group()
        return {"sum": value.item()}
    if job_input.get("saves_s"):
        import signal
        asked = []
        signal.signal(signal.SIGTERM, lambda number, frame: asked.append(number))
        events.emit(notice="this takes long")
        events.progress("training", 1, 9)
        while not asked:
            time.sleep(0.01)
        time.sleep(job_input["saves_s"])
        raise JobError("Interrupted", "step 7 is saved", "the same command goes on")
    if job_input.get("hang"):
        time.sleep(60)
    if rank == job_input.get("refuses"):
        raise JobError("UsageError", f"rank {rank} refuses", "ask for less")
    if rank == job_input.get("breaks"):
        raise ValueError(f"rank {rank} broke")
    if "refuses" in job_input or "breaks" in job_input:
        time.sleep(0.3)
        raise ConnectionError("the other rank went away")
    if job_input.get("waits"):
        return {"waits": os.environ["OMP_WAIT_POLICY"]}
    return {"rank": rank}

if __name__ == "__main__":
    run_worker(work)
"""

LAUNCHER = '''
"""Starts the rest of its command line so many times; the first that fails ends the others."""
import os, subprocess, sys
count, command = int(sys.argv[1]), sys.argv[2:]
ranks = [
    subprocess.Popen(
        [sys.executable, *command], env={**os.environ, "RANK": str(rank)}, start_new_session=True
    )
    for rank in range(count)
]
codes = [rank.wait() for rank in ranks]
sys.exit("a rank failed, says the launcher" if any(codes) else 0)
'''


class Jobs:
    """Runs the program in one folder."""

    def __init__(self, folder: Path) -> None:
        self.sources = folder / "sources"
        self.sources.mkdir()
        (self.sources / "tiny.py").write_text(PROGRAM)
        (self.sources / "launch.py").write_text(LAUNCHER)
        self.folder = folder / "job"
        self.two = (str(self.sources / "launch.py"), "2")

    def run(
        self,
        *,
        launcher: tuple[str, ...] = (),
        grace_s: float = 5.0,
        progress: Progress = Silent(),  # noqa: B008
        **job_input: object,
    ) -> JobResult:
        spec = JobSpec(
            name="tiny",
            python=sys.executable,
            program="tiny",
            input=job_input,
            launcher=launcher,
            env={"PYTHONPATH": str(self.sources)},
            grace_s=grace_s,
        )
        return run_job(spec, folder=self.folder, progress=progress)


class CtrlC(Heard):
    """Whoever watches presses it when training begins."""

    def update(self, stage: str, done: float, total: float = 0, note: str = "") -> None:
        if stage == "training":
            raise KeyboardInterrupt


@pytest.fixture
def jobs(tmp_path: Path) -> Jobs:
    return Jobs(tmp_path)


def test_one_process_writes_even_if_the_environment_has_a_rank(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    assert jobs.run().output == {"rank": 1}
    assert len((jobs.folder / "events.jsonl").read_text().splitlines()) == 1


def test_threads_that_wait_leave_the_core_to_others_unless_the_user_wants_it(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    assert jobs.run(waits=True).output == {"waits": "PASSIVE"}
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    assert jobs.run(waits=True).output == {"waits": "ACTIVE"}


def test_of_two_ranks_the_first_writes_events_and_output(jobs: Jobs) -> None:
    assert jobs.run(launcher=jobs.two).output == {"rank": 0}
    assert (jobs.folder / "seen-by-1").exists()
    assert len((jobs.folder / "events.jsonl").read_text().splitlines()) == 1


@pytest.mark.parametrize("rank", [0, 1])
def test_the_first_error_wins_over_the_other_ranks_and_the_launcher(jobs: Jobs, rank: int) -> None:
    with pytest.raises(UsageError, match=f"rank {rank} refuses") as caught:
        jobs.run(launcher=jobs.two, refuses=rank)
    assert caught.value.hint == "ask for less"
    kinds = [
        json.loads((jobs.folder / f"error-{number}.json").read_text())["kind"]
        for number in (rank, 1 - rank)
    ]
    assert kinds == ["UsageError", None]


def test_an_unexpected_error_is_named_with_its_rank_and_the_log(jobs: Jobs) -> None:
    with pytest.raises(EngineFailed, match="rank 1: ValueError: rank 1 broke") as caught:
        jobs.run(launcher=jobs.two, breaks=1)
    assert "says the launcher" in str(caught.value.hint)
    with pytest.raises(EngineFailed, match=r"ended \(exit code 1\): ValueError: rank 0 broke"):
        jobs.run(breaks=0)


def test_what_lies_in_the_folder_stays_but_for_old_messages(jobs: Jobs) -> None:
    with pytest.raises(UsageError):
        jobs.run(launcher=jobs.two, refuses=1)
    (jobs.folder / "checkpoint").write_text("step 7")
    assert jobs.run().output == {"rank": 0}
    assert (jobs.folder / "checkpoint").read_text() == "step 7"
    assert not list(jobs.folder.glob("error-*.json"))


def test_who_is_asked_to_end_may_save_and_says_so(jobs: Jobs) -> None:
    watcher = CtrlC()
    with pytest.raises(Interrupted, match="step 7 is saved") as told:
        jobs.run(progress=watcher, saves_s=1.0)
    assert told.value.hint == "the same command goes on"
    assert watcher.warnings == ["this takes long"]
    assert watcher.sentences == ["ending; Ctrl-C again ends at once"]


def test_who_takes_longer_than_its_grace_is_ended(jobs: Jobs) -> None:
    started_s = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        jobs.run(progress=CtrlC(), saves_s=60.0, grace_s=0.3)
    assert time.monotonic() - started_s < 20


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs the parent-death signal")
def test_no_rank_outlives_a_launcher_that_is_killed(jobs: Jobs) -> None:
    import threading

    def kill_the_launcher() -> None:
        seen = [jobs.folder / f"seen-by-{rank}" for rank in range(2)]
        while not all(each.exists() and each.read_text() for each in seen):
            time.sleep(0.02)
        psutil.Process(int(seen[1].read_text())).parent().kill()

    threading.Thread(target=kill_the_launcher, daemon=True).start()
    with pytest.raises(EngineFailed, match="SIGKILL"):
        jobs.run(launcher=jobs.two, hang=True)
    pids = [int((jobs.folder / f"seen-by-{rank}").read_text()) for rank in range(2)]
    deadline = time.monotonic() + 10
    while any(psutil.pid_exists(pid) for pid in pids):
        assert time.monotonic() < deadline, pids
        time.sleep(0.05)


@pytest.mark.skipif(find_spec("torch") is None, reason="torch is not installed")
def test_the_launcher_of_torch_joins_two_ranks(jobs: Jobs) -> None:
    torchrun = ("-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone")
    assert jobs.run(launcher=torchrun, gather=True).output == {"sum": 3.0}
