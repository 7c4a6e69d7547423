"""llama.cpp logs for as long as its process lives, whoever listened first."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import llmops_cli

pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")

WORKERS = Path(llmops_cli.__file__).parent / "workers"
FORGETFUL = """
import ctypes, gc, sys
sys.path.insert(0, sys.argv[1])
import llama_cpp
from llamacpp.log import LogCapture
LogCapture()
gc.collect()
held = [bytearray(200) for _ in range(10_000)]
params = llama_cpp.llama_model_default_params()
llama_cpp.llama_model_load_from_file(b"nowhere.gguf", params)
print("lived")
"""


def test_a_capture_that_nobody_holds_is_still_heard() -> None:
    program = [sys.executable, "-c", FORGETFUL, str(WORKERS)]
    ended = subprocess.run(program, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0
    assert ended.stdout.strip() == "lived"


def test_the_newest_problems_are_told() -> None:
    program = FORGETFUL.replace("LogCapture()\n", "log = LogCapture()\n", 1)
    program += "print(log.last())"
    command = [sys.executable, "-c", program, str(WORKERS)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert "nowhere.gguf" in ended.stdout
