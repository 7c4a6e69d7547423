"""The first moments of the process, before the command line is imported."""

from __future__ import annotations

import subprocess
import sys

RELOADED_EARLY = """
import os
import signal
import sys


class Finder:
    def find_spec(self, name, path, target=None):
        if name == "llmops_cli.cli.app":
            os.kill(os.getpid(), signal.SIGHUP)
        return None


sys.meta_path.insert(0, Finder())
sys.argv = ["llmops", "serve", "--help"]
from llmops_cli.__main__ import main

main()
"""


def test_a_gateway_that_is_told_to_reload_at_once_goes_on() -> None:
    """SIGHUP ended it for as long as it was being imported: a third of a second."""
    argv = [sys.executable, "-c", RELOADED_EARLY]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "--config" in done.stdout
