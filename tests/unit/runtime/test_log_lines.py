"""What is said as JSON is one object a line, whatever it says, here and in engines."""

from __future__ import annotations

import io
import json
import logging
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
