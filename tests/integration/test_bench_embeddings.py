"""`llmops bench --api embeddings` against a server whose vectors are made by arithmetic."""

from __future__ import annotations

import asyncio
import json
import queue
import shutil
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from llmops_cli.runtime.paths import WORKERS
from tests.conftest import Cli

sys.path.insert(0, str(WORKERS))
from _openai.vectors import VectorServer
from _shared.embedding_queue import StepSize
from tests.unit.workers._openai.test_vectors import Sums

STEP = StepSize(tokens=4096, texts=64)


class LongSums(Sums):
    """With room for what bench draws."""

    longest = 4096

    def encode_text(self, text: str) -> list[int]:
        return [ord(word[0]) % self.vocabulary_size for word in text.split()]


async def serve(port: queue.Queue[int], stop: threading.Event) -> None:
    connection = VectorServer(LongSums(), STEP).connections.serve
    async with await asyncio.start_server(connection, "127.0.0.1", 0) as server:
        port.put(server.sockets[0].getsockname()[1])
        while not stop.is_set():
            await asyncio.sleep(0.05)


@pytest.fixture
def url() -> Iterator[str]:
    port: queue.Queue[int] = queue.Queue()
    stop = threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(serve(port, stop)))
    thread.start()
    yield f"http://127.0.0.1:{port.get(timeout=10)}"
    stop.set()
    thread.join(10)


def test_texts_a_second_are_measured_and_what_vectors_lack_is_not(
    url: str, cli: Cli, tmp_path: Path
) -> None:
    run = cli(
        *("bench", "--url", url, "--api", "embeddings", "--concurrency", "1,2"),
        *("--requests", "60", "--texts-per-request", "4", "--input-tokens", "32"),
        *("--allow-invalid", "--json", "-o", "run"),
    )
    assert run.returncode == 0, run.stderr
    report = json.loads(run.stdout)
    for level in report["levels"]:
        assert (level["requests"], level["errors"]) == (60, 0), level["error_kinds"]
        assert level["texts_per_s"] == pytest.approx(4 * level["requests_per_s"], rel=1e-6)
        assert level["total_tokens_per_s"] == pytest.approx(32 * level["texts_per_s"], rel=0.05)
        assert level["input_tokens"] == pytest.approx(4 * 32 * level["measured"], rel=0.05)
        for name in ("ttft_ms", "tpot_ms", "itl_ms", "normalized_ms"):
            assert level[name]["count"] == 0
            assert level[name]["p50"] is None
        assert level["e2e_ms"]["p50"] > 0
        assert level["output_tokens"] == 0
        assert not [note for note in level["notes"] if "TPOT" in note]
    shown = cli("report", "show", "run")
    assert "texts/s" in shown.stdout
    assert "TTFT, TPOT and ITL are not measured" in shown.stdout
    page = (tmp_path / "run" / "report.html").read_text()
    assert "<th>texts/s</th>" in page
    assert "<th>TTFT p50 ms</th>" not in page
    exported = cli("report", "export", "run", "--format", "markdown")
    assert "| texts/s | input tok/s |" in exported.stdout


def test_rows_of_a_file_are_taken_one_after_another(url: str, cli: Cli, tmp_path: Path) -> None:
    rows = [json.dumps({"prompt": "word " * count}) for count in (1, 2, 3)]
    (tmp_path / "rows.jsonl").write_text("\n".join(rows))
    run = cli(
        *("bench", "--url", url, "--api", "embeddings", "--dataset", "rows.jsonl"),
        *("--texts-per-request", "3", "--requests", "50", "--concurrency", "1", "--warm-cache"),
        *("--allow-invalid", "--json"),
    )
    assert run.returncode == 0, run.stderr
    (level,) = json.loads(run.stdout)["levels"]
    assert level["input_tokens"] == 6 * level["measured"]


def test_a_server_that_sends_text_has_no_vectors(
    url: str, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It counts tokens, and lets the fields of a request for vectors pass."""
    taken = ("model", "prompt", "input", "encoding_format")
    monkeypatch.setattr("_openai.vectors.TOKENIZABLE", taken)
    run = cli(
        *("bench", "--url", url, "--api", "embeddings", "--path", "/tokenize"),
        *("--body", 'prompt="a"', "--requests", "4", "--concurrency", "1", "--json"),
    )
    assert run.returncode != 0
    (level,) = json.loads(run.stdout)["levels"]
    assert level["error_kinds"] == {"not a vector for each text": 4}


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--slo", "ttft_p95=5ms"), "e2e_p95=50ms"),
        (("--turns", "2"), "--turns"),
        (("--trace", "t.jsonl", "--texts-per-request", "2"), "--texts-per-request"),
    ],
    ids=["ttft", "turns", "trace"],
)
def test_what_vectors_do_not_have_is_refused(
    url: str, cli: Cli, args: tuple[str, ...], words: str
) -> None:
    run = cli("bench", "--url", url, "--api", "embeddings", *args)
    assert run.returncode == 2
    assert words in run.stderr


def test_texts_of_a_request_are_of_embeddings(url: str, cli: Cli) -> None:
    run = cli("bench", "--url", url, "--texts-per-request", "2")
    assert run.returncode == 2
    assert "--api embeddings" in run.stderr


def test_vectors_of_the_simulator_are_judged_by_their_texts_a_second(
    cli: Cli, tmp_path: Path
) -> None:
    run = cli(
        *("bench", "--backend", "sim", "--set", "ttft_ms=10", "--api", "embeddings"),
        *("--concurrency", "2", "--requests", "60", "--texts-per-request", "3"),
        *("--allow-invalid", "--json", "-o", "run"),
    )
    assert run.returncode == 0, run.stderr
    (level,) = json.loads(run.stdout)["levels"]
    assert level["errors"] == 0
    low, high = level["rates_ci95"]["texts_per_s"]
    assert low < level["texts_per_s"] < high
    gate = ("report", "gate", "run", "--allow-invalid", "--fail-if")
    passed = cli(*gate, "texts_per_s < 1")
    assert passed.returncode == 0, passed.stderr
    assert " to " in passed.stdout
    failed = cli(*gate, "texts_per_s < 1000000")
    assert failed.stdout.startswith("failed")
    shutil.copytree(tmp_path / "run", tmp_path / "before")
    for condition in ("ttft_ms.p95 > 5", "ttft_ms.p95 > +5%"):
        absent = cli(*gate, condition, "--baseline", "before")
        assert absent.stdout.startswith("unknown")
        assert "not measured" in absent.stdout
    same = cli(*gate, "texts_per_s < -5%", "--baseline", "before")
    assert same.stdout.startswith("passed")


@pytest.mark.parametrize("api", ["embeddings", "chat", "completions"])
def test_the_hint_of_a_refused_request_is_of_its_api(cli: Cli, api: str) -> None:
    run = cli("bench", "--backend", "sim", "--api", api, "--path", "/v1/none")
    assert run.returncode == 4
    assert "HTTP 404" in run.stderr
    assert ("vectors" in run.stderr) == (api == "embeddings")
    assert ("chat template" in run.stderr) == (api == "chat")
