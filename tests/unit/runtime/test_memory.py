"""What a tree of processes holds at most, however deep it is."""

import subprocess
import sys

from llmops_cli.runtime.memory import MemoryMeter

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
