"""What a tree of processes holds at most, however deep it is."""

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

from llmops_cli.runtime.memory import MemoryMeter
from tests.fake_nvml import library_folder

MIB = 2**20
HELD_MIB = 60
CHILD = f"held = b'x' * ({HELD_MIB} << 20); print(1, flush=True); input()"
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {CHILD!r}])"


def test_a_grandchild_counts_and_the_guard_does_not() -> None:
    guard = subprocess.Popen(
        [sys.executable, "-c", f"import subprocess, sys; x = b'x' * (300 << 20); {PARENT}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert guard.stdin is not None
    assert guard.stdout is not None
    guard.stdout.readline()
    meter = MemoryMeter(guard.pid)
    peak = meter.stop().engine_peak_rss_bytes or 0
    guard.stdin.close()
    guard.wait()
    guard.stdout.close()
    assert HELD_MIB * MIB < peak < 300 * MIB


def test_a_sample_without_a_file_number_left_is_not_the_last() -> None:
    """The thread ended there, and the peaks were those before."""
    usual = resource.getrlimit(resource.RLIMIT_NOFILE)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, usual[1]))
        try:
            meter = MemoryMeter(os.getpid())
            time.sleep(0.05)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, usual)
        time.sleep(0.5)
        peak = meter.stop().engine_peak_rss_bytes
        assert child.stdin is not None
        child.stdin.close()
    assert peak is not None


METERED = """
import os, time
from llmops_cli.runtime.memory import MemoryMeter
meter = MemoryMeter(os.getppid())
time.sleep(0.5)
print(meter.stop().engine_peak_rss_bytes)
"""


def test_a_driver_that_lacks_a_function_ends_no_measurement(tmp_path: Path) -> None:
    """An old one: the library has an error of its own for that."""
    env = {**os.environ, "LD_LIBRARY_PATH": str(library_folder(tmp_path))}
    argv = [sys.executable, "-c", METERED]
    run = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60, check=True)
    assert int(run.stdout) > 1e6
    assert not run.stderr
