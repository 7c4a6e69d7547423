"""A signal is a wish; a second one, after a moment, is an order."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

from llmops_cli.runtime.paths import WORKERS

PROGRAM = f"""
import sys, time
sys.path.insert(0, {str(WORKERS)!r})
from train.stop_signals import StopSignals
signals = StopSignals()
print("ready", flush=True)
while signals.asked is None:
    time.sleep(0.01)
print(signals.asked.name, flush=True)
time.sleep(60)
"""


def test_the_first_signal_is_heard_and_the_second_ends_it() -> None:
    argv = [sys.executable, "-c", PROGRAM]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "SIGTERM\n"
        process.send_signal(signal.SIGTERM)  # a launcher passes the same wish on
        assert process.poll() is None
        time.sleep(1.1)
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
