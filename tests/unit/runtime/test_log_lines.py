"""What is said as JSON is one object a line, whatever it says, here and in engines."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys

import pytest

from llmops_cli.runtime.log_lines import VARIABLE, JsonFormatter, line_of
from llmops_cli.runtime.paths import WORKERS

ODD = "two\nlines, \x00 and \udcff"
ENGINE = """
import sys
sys.path.insert(0, sys.argv[1])
from _shared.log_lines import begin
begin("hf.server")
import logging, warnings
print("loading", end=" ")
print("m\\nserving")
sys.stderr.write("half of a line")
logging.getLogger("x").error("y %s", 1)
warnings.warn("old")
logging.getLogger("x").info("not told")
try:
    1 / 0
except ZeroDivisionError:
    logging.getLogger("x").exception("z")
import threading
thread = threading.Thread(target=lambda: 1 / 0)
thread.start()
thread.join()
sys.exit("cannot listen")
"""
ODD_ENGINE = """
import sys
sys.path.insert(0, sys.argv[1])
from _shared.log_lines import LONGEST_CHARS, begin
begin("hf.server")
import logging
logging.getLogger("x").warning("deprecated %s", "a", "b")
sys.stdout.reconfigure(line_buffering=True)
assert sys.stdout.encoding
print("windows", end="\\r")
print()
for done in range(10_000):
    print(f"\\r{done} of 10000", end="")
    assert len(sys.stdout._begun) < 100
print()
print("x" * (LONGEST_CHARS + 1), end="")
assert sys.stdout._begun == ""
import signal
signal.signal(signal.SIGUSR1, lambda *_: print("within a print"))
with sys.stdout._lock:
    signal.raise_signal(signal.SIGUSR1)
"""
TO_NOWHERE = """
import sys
sys.path.insert(0, sys.argv[1])
from _shared.log_lines import begin
begin("hf.server")
import logging, os
logging.getLogger("x").warning("lost")
print("lost")
os.write(int(sys.argv[2]), b"at work")
"""


def test_a_record_is_a_line_with_its_traceback() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    log = logging.getLogger("llmops.test-of-lines")
    log.handlers = [handler]
    log.propagate = False
    try:
        raise ValueError(ODD)
    except ValueError:
        log.exception("request %s", ODD)
    (line,) = stream.getvalue().splitlines()
    found = json.loads(line)
    assert found["message"].startswith("request two\nlines")
    assert "ValueError" in found["exception"]
    assert found["level"] == "error"


def test_the_time_is_that_of_the_event() -> None:
    line = json.loads(line_of("m", at_s=1_700_000_000.0625, hint="h"))
    assert line["at"] == "2023-11-14T22:13:20.062Z"
    assert line["hint"] == "h"
    assert "exception" not in line


def test_engines_have_the_same_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "json")
    argv = [sys.executable, "-c", ENGINE, str(WORKERS)]
    run = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 1
    printed = [json.loads(line) for line in run.stdout.splitlines()]
    logged = [json.loads(line) for line in run.stderr.splitlines()]
    assert [line["message"] for line in printed] == ["loading m", "serving"]
    assert [(line["level"], line["message"].partition("\n")[0]) for line in logged[:2]] == [
        ("error", "y 1"),
        ("warning", "<string>:11: UserWarning: old"),
    ]
    assert "ZeroDivisionError" in logged[2]["exception"]
    assert logged[3]["message"] == "a thread ends"
    assert logged[4]["message"] == "half of a linecannot listen"
    ours = set(json.loads(line_of("m")))
    assert all(set(line) - {"exception"} == ours for line in [*printed, *logged])


def test_what_an_engine_says_badly_is_no_failure_of_it() -> None:
    """It ended a request with a TypeError, and bars of progress grew without bound."""
    argv = [sys.executable, "-c", ODD_ENGINE, str(WORKERS)]
    run = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr
    printed = [json.loads(line)["message"] for line in run.stdout.splitlines()]
    assert printed[:2] == ["windows", "9999 of 10000"]
    assert [len(message) for message in printed[2:3]] == [(1 << 16) + 1]
    assert printed[3:] == ["within a print"]
    logged = [json.loads(line)["message"] for line in run.stderr.splitlines()]
    assert any("deprecated %s" in message for message in logged)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux has a disk that is full")
def test_a_full_disk_below_its_log_is_no_failure_of_an_engine() -> None:
    ours, theirs = os.pipe()
    with open(ours, "rb") as told, open("/dev/full", "wb") as full:
        with open(theirs, "wb"):
            argv = [sys.executable, "-c", TO_NOWHERE, str(WORKERS), str(theirs)]
            subprocess.run(
                argv, stdout=full, stderr=full, pass_fds=[theirs], timeout=60, check=False
            )
        assert told.read() == b"at work"
