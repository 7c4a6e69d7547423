"""Every engine for real, on the demo model, through the command that users type. Environments are made on first use."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.conftest import Cli

REAL = {
    "llamacpp": ("--backend", "llamacpp", "--max-num-seqs", "4", "--threads", "2"),
    "transformers, continuous": ("--backend", "transformers", "--dtype", "float32"),
    "transformers, static": ("--backend", "transformers", "--set", "batching=static", "--threads", "2"),
    "ctranslate2": ("--backend", "ctranslate2", "--dtype", "int8", "--max-num-seqs", "4"),
    "vllm": ("--backend", "vllm", "--max-model-len", "512"),
}


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("name", REAL)
def test_serves_the_demo_model_to_several_streams(name: str, demo_cli: Cli) -> None:
    run = demo_cli("bench", *REAL[name], "--concurrency", "1,4", "--requests", "12", "--output-tokens", "16", "--json",
                   "--allow-invalid", timeout_s=1400)  # fmt: skip
    assert run.returncode == 0, run.stderr
    report = json.loads(run.stdout)
    assert report["memory"]["engine_peak_rss_bytes"] > 20e6
    for level in report["levels"]:
        assert (level["requests"], level["errors"]) == (12, 0), level["error_kinds"]
        assert level["output_tokens"] == 16 * level["measured"]
        assert level["input_tokens"] == pytest.approx(64 * level["measured"], abs=2)  # each engine's own count
        assert level["ttft_ms"]["p50"] > 0


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("stall_every=3", "timeout"), ("reset_every=3", "connection reset"), ("half_every=3", "the stream ended early"),
        ("malformed_every=3", "a malformed event"), ("fail_every=3", "HTTP 503"),
    ],
)  # fmt: skip
def test_scripted_faults_are_what_the_client_sees(cli: Cli, fault: str, kind: str) -> None:
    run = cli("bench", "--backend", "sim", "--set", "ttft_ms=5", "--set", "itl_ms=1", "--set", fault, "--warmup", "0",
              "--concurrency", "1", "--requests", "9", "--output-tokens", "6", "--timeout-s", "0.5", "--json",
              "--allow-invalid")  # fmt: skip
    (level,) = json.loads(run.stdout)["levels"]
    assert level["error_kinds"] == {kind: 3}


def test_a_simulated_batch_limit_makes_requests_wait(cli: Cli) -> None:
    run = cli("bench", "--backend", "sim", "--set", "ttft_ms=20", "--set", "itl_ms=5", "--max-num-seqs", "2",
              "--concurrency", "2,8", "--requests", "24", "--output-tokens", "9", "--json")  # fmt: skip
    two, eight = json.loads(run.stdout)["levels"]
    assert eight["ttft_ms"]["p50"] > 3 * two["ttft_ms"]["p50"]
    assert eight["output_tokens_per_s"] == pytest.approx(two["output_tokens_per_s"], rel=0.25)


def test_prefill_costs_time_by_the_token(cli: Cli) -> None:
    run = cli("bench", "--backend", "sim", "--set", "ttft_ms=5", "--set", "prefill_tokens_per_s=2000", "--concurrency",
              "1", "--requests", "5", "--input-tokens", "200", "--output-tokens", "2", "--json")  # fmt: skip
    (level,) = json.loads(run.stdout)["levels"]
    assert level["ttft_ms"]["p50"] == pytest.approx(105, abs=12)


def test_an_option_that_an_engine_lacks_is_refused_with_those_that_have_it(cli: Cli) -> None:
    for args, words in (
        (("--backend", "ctranslate2", "--lora", "a=b"), "engine 'ctranslate2' has no --lora"),
        (("--backend", "transformers", "--speculative", "ngram:5"), "continuous batching has no --speculative"),
        (("--backend", "vllm", "--dtype", "int7"), "--dtype int7: no such value"),
        (("--backend", "vllm", "--set", "compil=true"), "unknown engine option 'compil'"),
    ):
        run = cli("bench", *args, "--model", "demo", env={"LLMOPS_ENV_CREATE": "0"})
        assert run.returncode in (2, 3), run.stderr
        assert words in run.stderr or "llmops env create" in run.stderr


def test_a_model_in_another_format_names_the_engine_that_takes_it(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(b"GGUF" + bytes(64))
    run = cli("bench", "--backend", "transformers", "--model", "m.gguf")
    assert run.returncode == 2
    assert "m.gguf is gguf" in run.stderr
    assert "--backend llamacpp" in run.stderr


def test_a_missing_environment_says_how_to_make_it(cli: Cli) -> None:
    run = cli("bench", "--backend", "vllm", env={"LLMOPS_ENV_CREATE": "0"})
    assert run.returncode == 3
    assert "llmops env create vllm" in run.stderr
    assert "GB" in run.stderr


def test_an_engine_that_never_gets_ready_and_two_ctrl_c(tmp_path: Path) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    argv = [sys.executable, "-m", "llmops_cli", "bench", "--backend", "sim", "--set", "start_s=60", "-o", "run"]
    process = subprocess.Popen(argv, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    time.sleep(3)
    family = psutil.Process(process.pid).children(recursive=True)
    assert len(family) >= 2
    process.send_signal(signal.SIGINT)
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, words = process.communicate(timeout=30)
    assert process.returncode == 130, words
    assert "Traceback" not in words
    _gone, alive = psutil.wait_procs(family, timeout=15)
    assert not alive


def test_the_matrix_of_options(cli: Cli) -> None:
    found = json.loads(cli("engines", "--json").stdout)
    assert {"llamacpp", "vllm", "transformers", "ctranslate2", "remote", "sim"} <= set(found)
    assert "lora" in found["vllm"]["options"]
    assert "batching" in found["transformers"]["own_options"]
    assert "--tensor-parallel" in cli("engines").stdout


def test_an_engine_of_another_package_is_one_of_ours(cli: Cli) -> None:
    plugin = Path(__file__).parent.parent / "plugin"
    run = cli("bench", "--backend", "echo", "--concurrency", "2", "--requests", "6", "--output-tokens", "4", "--json",
              env={"PYTHONPATH": str(plugin)})  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["levels"][0]["errors"] == 0
    assert "echo" in json.loads(cli("engines", "--json", env={"PYTHONPATH": str(plugin)}).stdout)


def test_environments_are_made_once_mended_and_removed(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "config" / "llmops" / "envs"
    folder.mkdir(parents=True)
    (folder / "tiny.txt").write_text("#: modules six\n#: download 11 kB\nsix\n")
    argv = [sys.executable, "-m", "llmops_cli", "env", "create", "tiny"]
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache"), "XDG_CONFIG_HOME": str(tmp_path / "config")}
    both = [subprocess.Popen(argv, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            for _ in range(2)]  # fmt: skip
    ended = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], ended
    assert ended[0][0] == ended[1][0]
    assert sorted("creating environment" in words for _, words in ended) == [False, True]
    python = Path(ended[0][0].strip())
    (module,) = python.parent.parent.glob("lib/python*/site-packages/six.py")
    module.unlink()
    listed = cli("env", "list").stdout
    assert "llmops env create tiny" in next(line for line in listed.splitlines() if line.startswith("tiny"))
    assert "it has no six" in cli("env", "show", "tiny").stderr
    mended = cli("env", "create", "tiny")
    assert mended.returncode == 0, mended.stderr
    assert module.exists()
    assert "removed" in cli("env", "remove", "tiny").stdout
    assert not python.exists()
    (folder / "tiny.txt").write_text("#: modules six\nno-such-package-anywhere==9.9\n")
    failed = cli("env", "create", "tiny")
    assert failed.returncode == 4
    assert "no-such-package-anywhere" in failed.stderr
    assert not list((tmp_path / "cache" / "llmops" / "envs").glob("tiny-*/bin"))
