"""The ruler is checked against `sim`, whose delays are known, and against its faults."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from llmops_cli.core.report import decode_report
from tests.conftest import Cli


def report_of(tmp_path: Path) -> dict:  # type: ignore[type-arg]
    (path,) = (tmp_path / "results").glob("*/report.json")
    return dict(json.loads(path.read_text()))


@pytest.mark.quiet
def test_measures_the_scripted_delays(cli: Cli, tmp_path: Path) -> None:
    run = cli(
        "bench",
        "--backend",
        "sim",
        "--set",
        "ttft_ms=60",
        "--set",
        "itl_ms=8",
        "--concurrency",
        "1,8",
        "--output-tokens",
        "20",
        "--requests",
        "16",
        "--json",
    )
    assert run.returncode == 0, run.stderr
    report = json.loads(run.stdout)
    assert report["schema"] == "llmops.bench/2"
    for level in report["levels"]:
        # the role-only first event must not count as the first token; noise of a busy machine is
        # allowed for
        assert 60 <= level["ttft_ms"]["p50"] < 60 + 15
        assert level["tpot_ms"]["p50"] == pytest.approx(8, rel=0.1)
        assert level["itl_ms"]["p50"] == pytest.approx(8, rel=0.25)
        assert level["e2e_ms"]["p50"] == pytest.approx(60 + 19 * 8, rel=0.1)
        assert level["errors"] == 0
        if level["windows"][0]["found"] == "steady":
            assert level["output_tokens_per_s"] == pytest.approx(
                level["concurrency"] * 20 / (level["e2e_ms"]["mean"] / 1e3), rel=0.1
            )


@pytest.mark.quiet
def test_tokens_in_one_chunk_do_not_change_the_time_per_token(cli: Cli) -> None:
    run = cli(
        "bench",
        "--backend",
        "sim",
        "--set",
        "itl_ms=5",
        "--set",
        "tokens_per_chunk=4",
        "--concurrency",
        "2",
        "--output-tokens",
        "41",
        "--requests",
        "8",
        "--json",
    )
    (level,) = json.loads(run.stdout)["levels"]
    assert level["tpot_ms"]["p50"] == pytest.approx(5, rel=0.1)
    assert level["itl_ms"]["p50"] == pytest.approx(5, rel=0.2)  # per token, not per chunk


def test_failed_requests_are_counted_and_kept_as_records(cli: Cli, tmp_path: Path) -> None:
    cli(
        "bench",
        "--backend",
        "sim",
        "--set",
        "fail_every=4",
        "--concurrency",
        "4",
        "--requests",
        "16",
    )
    (level,) = report_of(tmp_path)["levels"]
    assert (level["requests"], level["errors"]) == (16, 4)
    assert level["error_kinds"] == {"HTTP 503": 4}
    (path,) = (tmp_path / "results").glob("*/records.csv")
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert len(rows) == 16
    assert sum("scripted failure" in row["error"] for row in rows) == 4


def test_an_engine_that_dies_is_an_error_with_what_was_measured_kept(
    cli: Cli, tmp_path: Path
) -> None:
    run = cli(
        "bench",
        "--backend",
        "sim",
        "--set",
        "die_after=10",
        "--concurrency",
        "2,4",
        "--requests",
        "20",
    )
    assert run.returncode == 4
    assert "engine 'sim' ended (exit code 70)" in run.stderr
    report = report_of(tmp_path)
    assert report["manifest"]["complete"] is False
    assert "the engine died during this level" in report["levels"][0]["invalid_reasons"]
    decode_report(json.dumps(report).encode())


def test_a_saved_report_is_a_recipe(cli: Cli, tmp_path: Path) -> None:
    cli(
        "bench",
        "--backend",
        "sim",
        "--concurrency",
        "3",
        "--requests",
        "3",
        "--output-tokens",
        "5",
        "-o",
        "first",
    )
    run = cli("bench", "--recipe", "first/report.json", "--json")
    again = json.loads(run.stdout)
    assert again["manifest"]["recipe"]["concurrency"] == [3]
    assert again["manifest"]["origins"]["output_tokens"] == "report"


def children_of(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


@pytest.mark.parametrize(
    ("sig", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 130), (signal.SIGKILL, -9)]
)
def test_no_process_is_left_behind(tmp_path: Path, sig: signal.Signals, code: int) -> None:
    # tests that run in the background inherit an ignored SIGINT, and would hand it on
    signal.signal(signal.SIGINT, signal.default_int_handler)
    argv = [
        sys.executable,
        "-m",
        "llmops_cli",
        "bench",
        "--backend",
        "sim",
        "--set",
        "itl_ms=10",
        "-o",
        "run",
    ]
    process = subprocess.Popen(
        argv,
        cwd=tmp_path,
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path)},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("1 stream"):
            break
    time.sleep(1.5)  # one request takes 0.7 s
    engine = children_of(process.pid)
    assert len(engine) == 3  # the guard, the engine and a load worker
    process.send_signal(sig)
    process.communicate(timeout=30)
    assert process.returncode == code
    _gone, alive = psutil.wait_procs(engine, timeout=15)
    assert not alive
    show = [sys.executable, "-m", "llmops_cli", "report", "show", "run"]
    shown = subprocess.run(show, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "partial" in shown.stdout
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert report["manifest"]["complete"] is False
    assert report["levels"][0]["requests"] >= 1
    with (tmp_path / "run" / "records.csv").open() as file:
        assert len(list(csv.DictReader(file))) == report["levels"][0]["requests"]


@pytest.mark.parametrize("form", [["--json"], []])
def test_a_report_that_cannot_be_printed_says_where_it_is_saved(
    tmp_path: Path, form: list[str]
) -> None:
    command = [sys.executable, "-m", "llmops_cli", "bench", "--backend", "sim"]
    options = ["--concurrency", "1", "--requests", "2", "--allow-invalid", "-o", "run"]
    with Path("/dev/full").open("w") as full:
        run = subprocess.run(
            [*command, *options, *form],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            cwd=tmp_path,
            env={**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")},
        )
    assert run.returncode == 3
    assert "report: run/report.json" in run.stderr
    assert (tmp_path / "run" / "report.json").is_file()
