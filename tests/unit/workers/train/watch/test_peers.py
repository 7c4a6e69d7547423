"""The rank that all others wait for is the one that is named."""

from __future__ import annotations

import os
import socket
import subprocess

import pytest

pytest.importorskip("torch", reason="torch is not installed")

from train.watch.heartbeat import Beat
from train.watch.peers import dead_rank, hung_rank

HERE = socket.gethostname()


def beat(rank: int, **changes: object) -> Beat:
    usual = Beat(
        rank=rank,
        process=os.getpid(),
        host=HERE,
        step=12,
        phase="gradients",
        beat_s=0.5,
        since_s=40.0,
        ended=False,
    )
    return usual._replace(**changes)


def test_nobody_hangs_while_somebody_goes_on() -> None:
    assert hung_rank([beat(0), beat(1, since_s=1.0)], 30.0) is None
    assert hung_rank([beat(0), beat(1)], 60.0) is None
    assert hung_rank([], 30.0) is None


def test_reading_and_writing_a_large_model_may_take_longer() -> None:
    assert hung_rank([beat(0, phase="load"), beat(1)], 30.0) is None
    assert hung_rank([beat(0, phase="load", since_s=181.0), beat(1)], 30.0) is not None


def test_the_one_that_is_behind_hangs() -> None:
    fault = hung_rank([beat(0), beat(1, phase="rows"), beat(2)], 30.0)
    assert fault is not None
    assert fault.rank == 1
    assert "hangs: in rows of step 12 for 40 s" in fault.text
    earlier = hung_rank([beat(0), beat(1, step=11, phase="update")], 30.0)
    assert earlier is not None
    assert earlier.rank == 1


def test_a_process_that_stands_still_is_told_from_one_that_waits() -> None:
    fault = hung_rank([beat(0), beat(1, beat_s=35.0)], 30.0)
    assert fault is not None
    assert fault.rank == 1
    assert "its process has stood still for 35 s" in fault.text


def test_ranks_that_are_alike_are_all_named() -> None:
    fault = hung_rank([beat(0), beat(1), beat(2)], 30.0)
    assert fault is not None
    assert fault.text.endswith("so are ranks 1, 2")


def test_a_process_that_is_gone_is_dead_and_one_that_said_goodbye_is_not() -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    fault = dead_rank([beat(0), beat(1, process=gone.pid)])
    assert fault is not None
    assert fault.is_dead
    assert f"rank 1 (process {gone.pid} on {HERE}) died in gradients of step 12" in fault.text
    assert dead_rank([beat(1, process=gone.pid, ended=True)]) is None
    assert dead_rank([beat(0)]) is None


def test_a_process_that_nobody_has_waited_for_is_dead_too() -> None:
    gone = subprocess.Popen(["sleep", "0"])
    os.waitid(os.P_PID, gone.pid, os.WEXITED | os.WNOWAIT)
    assert dead_rank([beat(1, process=gone.pid)]) is not None
    gone.wait()


def test_another_machine_is_judged_by_its_heartbeat() -> None:
    assert dead_rank([beat(1, host="elsewhere", process=1, beat_s=5.0)]) is None
    assert dead_rank([beat(1, host="elsewhere", process=1, beat_s=20.0)]) is not None
