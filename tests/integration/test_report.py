"""`llmops report` over saved runs: tables, exports, the page in a real browser, comparison, and the
CI recipe.
"""

from __future__ import annotations

import csv
import fcntl
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from llmops_cli.bench.frame import records
from llmops_cli.bench.record_table import COLUMNS
from llmops_cli.core.errors import UsageError
from llmops_cli.runtime.paths import recipes_dir
from llmops_cli.runtime.server import free_port
from tests.conftest import Cli, Mock, fresh_cli

MockStart = Callable[..., Mock]
BROWSER = (
    "chromium",
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="module")
def measured(mock_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of three loads."""
    folder = tmp_path_factory.mktemp("measured")
    argv = [str(mock_binary), "--ttft-ms", "20", "--itl-ms", "2", "--jitter", "0.3"]
    server = Mock(argv, folder / "mock.log", free_port())
    done = fresh_cli(folder)(
        "bench",
        "--url",
        server.url,
        "-o",
        "run",
        "--concurrency",
        "2,8,16",
        "--requests",
        "120",
        "--output-tokens",
        "8",
        "--slo",
        "ttft_p95=10ms",
    )
    server.stop()
    assert done.returncode == 0, done.stderr
    return folder / "run"


@pytest.fixture
def run(measured: Path, tmp_path: Path) -> Path:
    """A copy of it where the test's commands run."""
    return Path(shutil.copytree(measured, tmp_path / "run"))


def test_the_files_of_a_run_agree(run: Path) -> None:
    assert sorted(path.name for path in run.iterdir()) == [
        "records.csv",
        "report.csv",
        "report.html",
        "report.json",
    ]
    report = json.loads((run / "report.json").read_text())
    with (run / "report.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["label"] for row in table] == ["2 streams", "8 streams", "16 streams"]
    for row, level in zip(table, report["levels"], strict=True):
        assert float(row["ttft_ms_p95"]) == level["ttft_ms"]["p95"]
        low, high = level["ttft_ms"]["ci95"]["p50"]
        assert low <= level["ttft_ms"]["p50"] <= high
    with (run / "records.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 360


def test_the_requests_lead_to_the_report(run: Path) -> None:
    """What report.csv says of a level is told by its rows of records.csv."""
    pandas = pytest.importorskip("pandas")
    found = records(run)
    report = pandas.read_csv(run / "report.csv").set_index("level")
    for number, level in found.groupby("level"):
        row = report.loc[number]
        counted = level[(level.in_window == 1) & level.error.isna()]
        assert len(level) == row.requests
        assert len(counted) == row.measured
        assert level.error.notna().sum() == row.errors
        for metric in ("ttft_ms", "tpot_ms", "e2e_ms", "normalized_ms"):
            told = counted[metric].dropna()
            assert told.median() == pytest.approx(row[f"{metric}_p50"], rel=1e-6)
            assert told.quantile(0.95) == pytest.approx(row[f"{metric}_p95"], rel=1e-6)
            assert told.mean() == pytest.approx(row[f"{metric}_mean"], rel=1e-6)


def test_the_requests_are_exported_as_a_table(cli: Cli, run: Path) -> None:
    assert cli("report", "export", "run", "--format", "csv").returncode == 2
    exported = cli("report", "export", "run", "--format", "csv", "-o", "r.csv")
    assert exported.returncode == 0, exported.stderr
    assert (run.parent / "r.csv").read_text() == (run / "records.csv").read_text()


def test_every_column_of_the_requests_is_documented(run: Path) -> None:
    page = (recipes_dir().parent / "docs" / "METRICS.md").read_text()
    section = page.partition("## The table of requests")[2].partition("\n## ")[0]
    with (run / "records.csv").open(newline="") as file:
        assert next(csv.reader(file)) == list(COLUMNS)
    for column in COLUMNS:
        assert f"`{column}`" in section, column


def test_a_folder_without_requests_is_named(tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    with pytest.raises(UsageError, match="no requests of a run in"):
        records(tmp_path)


def test_show_list_and_export(cli: Cli, run: Path) -> None:
    shown = cli("report", "show", "run").stdout
    assert "16 streams" in shown
    assert "ttft_p95=10ms missed" in shown
    listed = cli("report", "list", ".")
    assert str(run.name) in listed.stdout
    (row,) = json.loads(cli("report", "list", ".", "--json").stdout)
    assert row["kind"] == "bench"
    assert json.loads(cli("report", "show", "run", "--json").stdout) == json.loads(
        (run / "report.json").read_text()
    )
    assert "| 8 streams | 120 | 0 |" in cli("report", "export", "run").stdout
    suite = ElementTree.fromstring(
        cli("report", "export", "run", "--format", "junit").stdout.partition("\n")[2]
    )
    assert (suite.get("tests"), suite.get("failures")) == ("6", "3")
    metrics = cli("report", "export", "run", "--format", "openmetrics").stdout
    assert metrics.endswith("# EOF\n")
    wrong = cli("report", "export", "run", "--format", "markdwn")
    assert (wrong.returncode, "did you mean 'markdown'?" in wrong.stderr) == (2, True)


def test_openmetrics_is_read_by_prometheus_own_parser(cli: Cli, run: Path) -> None:
    parser = pytest.importorskip("prometheus_client.openmetrics.parser")
    text = cli("report", "export", "run", "--format", "openmetrics").stdout
    families = {family.name: family for family in parser.text_string_to_metric_families(text)}
    report = json.loads((run / "report.json").read_text())
    values = {
        s.labels["load"]: s.value for s in families["llmops_bench_output_tokens_per_second"].samples
    }
    assert values["8 streams"] == pytest.approx(report["levels"][1]["output_tokens_per_s"])


def test_parquet_export_has_every_request(cli: Cli, tmp_path: Path, run: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    done = cli("report", "export", "run", "--format", "parquet", "-o", "r.parquet")
    assert done.returncode == 0, done.stderr
    assert parquet.read_table(tmp_path / "r.parquet").num_rows == 360


def test_a_table_goes_through_a_link_and_into_a_pipe(cli: Cli, tmp_path: Path, run: Path) -> None:
    pytest.importorskip("pyarrow")
    packed = tmp_path / "packed"
    packed.mkdir()
    shutil.copy(run / "report.json", packed)
    link = tmp_path / "link.parquet"
    link.symlink_to(packed / "records.parquet")
    done = cli("report", "export", "run", "--format", "parquet", "-o", str(link))
    assert done.returncode == 0, done.stderr
    assert link.is_symlink()

    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, 1 << 20)  # the whole table, which nobody reads yet
    done = cli("report", "export", str(packed), "--format", "csv", "-o", str(pipe))
    with os.fdopen(reader, encoding="utf-8") as told:
        assert done.returncode == 0, done.stderr
        assert len(told.read().splitlines()) == 1 + 360
    assert pipe.is_fifo()


def test_the_page_works_offline_in_a_real_browser(cli: Cli, tmp_path: Path, run: Path) -> None:
    page = (run / "report.html").read_text()
    assert not re.findall(r"(?:src|href)\s*=\s*[\"']?(?:https?:)?//", page)
    assert "<script src" not in page
    assert shutil.which("chromium"), "chromium is missing (Debian: apt-get install chromium)"
    argv = [*BROWSER, f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1200,2200"]
    address = f"file://{run / 'report.html'}"
    dom = subprocess.run(
        [*argv, "--dump-dom", address], capture_output=True, text=True, timeout=120, check=True
    ).stdout
    assert 'data-ready="yes"' in dom  # the script ran to its end
    assert dom.count("<canvas") >= 5
    for words in (
        "Latency distribution",
        "Throughput against latency",
        "16 streams",
        "ttft_p95=10ms",
    ):
        assert words in dom
    picture = tmp_path / "page.png"
    subprocess.run(
        [*argv, f"--screenshot={picture}", address], capture_output=True, timeout=120, check=True
    )
    assert picture.stat().st_size > 40_000  # a blank page has a few kilobytes


def test_what_is_no_run_is_refused(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for args in (
        ["show", "nowhere"],
        ["show", "empty"],
        ["html", "empty"],
        ["compare", "empty", "empty"],
    ):
        done = cli("report", *args)
        assert (done.returncode, "no report at" in done.stderr) == (2, True), done.stderr
    done = cli("report", "gate", "empty", "--fail-if", "ttft_ms.p95 > +10")
    assert done.returncode == 2


def test_a_table_that_was_cut_is_told_and_nothing_half_is_left(
    cli: Cli, tmp_path: Path, run: Path
) -> None:
    pytest.importorskip("pyarrow")
    shutil.copytree(run, tmp_path / "cut")
    table = tmp_path / "cut" / "records.csv"
    table.write_bytes(table.read_bytes()[:5000])
    (tmp_path / "r.parquet").write_text("from before")
    done = cli("report", "export", "cut", "--format", "parquet", "-o", "r.parquet")
    assert (done.returncode, "is no table of requests" in done.stderr) == (2, True), done.stderr
    assert (tmp_path / "r.parquet").read_text() == "from before"
    assert not list(tmp_path.glob(".r.parquet*"))


def test_one_run_that_cannot_be_read_hides_no_other(cli: Cli, tmp_path: Path, run: Path) -> None:
    shutil.copytree(run, tmp_path / "runs" / "whole")
    (tmp_path / "runs" / "folder" / "report.json").mkdir(parents=True)
    listed = cli("report", "list", "runs", "--json")
    assert listed.returncode == 0, listed.stderr
    (row,) = json.loads(listed.stdout)
    assert row["folder"] == "runs/whole"
    assert "runs/folder/report.json: Is a directory" in listed.stderr


def test_a_command_in_a_hint_can_be_pasted(cli: Cli) -> None:
    few = ("bench", "--backend", "sim", "--concurrency", "1", "--requests", "3", "--warmup", "0")
    for name in ("the one before", "now"):
        assert cli(*few, "--output-tokens", "2", "-o", name).returncode == 0
    limit = ("--fail-if", "ttft_ms.p50 > +10%")
    gate = cli("report", "gate", "now", "--baseline", "the one before", *limit)
    assert gate.returncode == 5
    hint = gate.stderr.splitlines()[-1].removeprefix("hint: llmops ")
    assert shlex.split(hint) == ["report", "compare", "the one before", "now"]


def test_a_run_is_no_baseline_of_its_own_and_two_reports_may_share_a_folder(
    cli: Cli, tmp_path: Path
) -> None:
    few = ("bench", "--backend", "sim", "--concurrency", "1", "--requests", "3", "--warmup", "0")
    assert cli(*few, "--output-tokens", "2", "-o", "run").returncode == 0
    limit = ("--fail-if", "error_rate > +1%")
    own = cli("report", "gate", "run", "--baseline", "run/report.json", *limit)
    assert own.returncode == 2
    assert "its own baseline" in own.stderr
    for name in ("before.json", "after.json"):
        shutil.copy(tmp_path / "run" / "report.json", tmp_path / name)
    two = cli("report", "gate", "after.json", "--baseline", "before.json", *limit)
    assert two.returncode != 2, two.stderr


@pytest.mark.quiet
def test_compare_finds_a_planted_change(cli: Cli, tmp_path: Path, mock: MockStart) -> None:
    for name, ttft in (("a", "40"), ("b", "80")):
        server = mock("--ttft-ms", ttft, "--itl-ms", "1", "--jitter", "0.3")
        done = cli(
            "bench",
            "--url",
            server.url,
            "-o",
            name,
            "--concurrency",
            "8",
            "--requests",
            "100",
            "--repeats",
            "4",
            "--output-tokens",
            "4",
        )
        assert done.returncode == 0, done.stderr
    found = json.loads(cli("report", "compare", "a", "b", "--json").stdout)
    verdicts = {d["metric"]: d for d in found["differences"]}
    assert verdicts["ttft_ms.shift"]["verdict"] == "slower"
    low, high = verdicts["ttft_ms.shift"]["ratio_ci95"]
    assert 1.2 < low < high < 3
    assert verdicts["tpot_ms.p50"]["verdict"] == "can't tell"
    table = cli("report", "compare", "a", "b")
    assert "slower" in table.stdout
    assert "| **slower** |" in cli("report", "compare", "a", "b", "--format", "markdown").stdout
    gate = cli(
        "report",
        "gate",
        "b",
        "--baseline",
        "a",
        "--fail-if",
        "ttft_ms.shift > +10%",
        "--junit",
        "gate.xml",
    )
    assert gate.returncode == 5
    assert "ttft_ms.shift > +10% at 8 streams" in gate.stdout
    suite = ElementTree.parse(tmp_path / "gate.xml").getroot()
    assert suite.get("failures") == "1"
    assert (
        cli(
            "report", "gate", "a", "--baseline", "b", "--fail-if", "ttft_ms.shift > +10%"
        ).returncode
        == 0
    )


@pytest.mark.quiet
def test_the_ci_job_passes_until_serving_gets_slower(tmp_path: Path) -> None:
    job = yaml.safe_load((recipes_dir() / "ci" / "github-bench.yml").read_text())["jobs"]["bench"]
    (step,) = [step["run"] for step in job["steps"] if "bench-gate" in step.get("run", "")]
    (tmp_path / "recipes").symlink_to(recipes_dir())
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
    }

    def ci(ttft_ms: int) -> int:
        options = (
            f"--backend sim --set ttft_ms={ttft_ms} --set itl_ms=2 --concurrency 4 "
            f"--requests 60 --repeats 3 --output-tokens 8"
        )
        run = subprocess.run(
            ["bash", "-euc", step],
            cwd=tmp_path,
            env={**environment, "BENCH": options},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert run.returncode in (0, 5), run.stderr
        return run.returncode

    assert [ci(30), ci(30), ci(40), ci(30)] == [0, 0, 5, 0]
    assert "**slower**" in (tmp_path / "summary.md").read_text()
