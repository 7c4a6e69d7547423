"""`llmops generate` as a user has it: over an engine that it starts, through kill -9, in a pipe."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from llmops_cli.generate.output import journal_path
from tests.chat_server import Reply, says, serving
from tests.conftest import llmops_in
from tests.unit.generate.batches import batch_row, read_rows, write_rows

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
ROWS = 400


def test_a_batch_over_an_engine_of_ours(tmp_path: Path) -> None:
    write_rows(tmp_path / "in.jsonl", [f"row {number}" for number in range(30)])
    cli = llmops_in(tmp_path, default_timeout_s=120)
    dry = cli("generate", "in.jsonl", "-o", "out.jsonl", "--backend", "sim", "--dry-run", "--json")
    assert json.loads(dry.stdout)["rows"] == 30
    assert not (tmp_path / "out.jsonl").exists()
    run = cli("generate", "in.jsonl", "-o", "out.jsonl", "--backend", "sim", "--json")
    assert run.returncode == 0, run.stderr
    report = json.loads(run.stdout)
    assert (report["schema"], report["answered"]) == ("llmops.generate/1", 30)
    assert all(row["answer"] for row in read_rows(tmp_path / "out.jsonl"))
    shown = cli("report", "show", "results/" + os.listdir(tmp_path / "results")[0])
    assert "30" in shown.stdout
    (page,) = tmp_path.glob("results/*/report.html")
    assert "30" in page.read_text()


def test_kill_9_in_the_middle_loses_and_repeats_nothing(tmp_path: Path) -> None:
    write_rows(tmp_path / "in.jsonl", [batch_row(number) for number in range(ROWS)])
    output = tmp_path / "out.jsonl"

    def answer(_: int) -> Reply:
        time.sleep(0.02)
        return says("ok", prompt_tokens=1, completion_tokens=1)

    with serving(answer, model="m") as server:
        command = [sys.executable, "-m", "llmops_cli", "generate", "in.jsonl", "-o", "out.jsonl"]
        command += ["--url", server.url, "--concurrency", "4"]
        first = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while server.asked < ROWS // 4 and time.monotonic() < deadline:
            time.sleep(0.02)
        first.send_signal(signal.SIGKILL)
        first.wait()
        written = journal_path(output).read_bytes().count(b"\n") - 1
        assert 0 < written < ROWS
        assert not output.exists()
        cli = llmops_in(tmp_path, default_timeout_s=120)
        run = cli(*command[3:], "--json")
        assert run.returncode == 0, run.stderr
        report = json.loads(run.stdout)
        assert report["answered_before"] == written
        assert report["requests"] == ROWS - written
        in_flight = server.asked - ROWS
    assert 0 <= in_flight <= 4
    rows = read_rows(output)
    assert [row["custom_id"] for row in rows] == [f"row-{number}" for number in range(ROWS)]
    assert all(row["response"] for row in rows)
    assert not journal_path(output).exists()


def test_two_runs_at_once_and_wrong_words_are_told(tmp_path: Path) -> None:
    cli = llmops_in(tmp_path, default_timeout_s=60)
    (tmp_path / "empty.jsonl").write_text("")
    for arguments, words in [
        ([], "no rows to ask"),
        (["none.jsonl", "-o", "out.jsonl", "--url", "http://127.0.0.1:1"], "no file none.jsonl"),
        (["empty.jsonl", "-o", "out.jsonl", "--url", "http://127.0.0.1:1"], "holds no rows"),
        (["empty.jsonl", "--url", "http://127.0.0.1:1"], "no place for the answers"),
        (["empty.jsonl", "-o", "o", "--url", "http://h", "--max-cost", "1"], "needs prices"),
        (["-", "-o", "out.jsonl", "--url", "http://127.0.0.1:1"], "not from a pipe"),
        (["empty.jsonl", "-o", "o", "--url", "http://h", "--fail-if", "speed > 1"], "speed"),
    ]:
        run = cli("generate", *arguments)
        assert run.returncode == 2, run.stderr
        assert words in run.stderr
        assert "Traceback" not in run.stderr
