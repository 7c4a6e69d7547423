"""The load generator against servers whose behaviour is known: mockllm's log, and scripted
sockets.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import socket
import ssl
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Cli, Mock

MockStart = Callable[..., Mock]


def bench(
    cli: Cli, url: str, *args: object, code: int = 0, env: dict[str, str] | None = None
) -> dict[str, Any]:
    run = cli("bench", "--url", url, "-o", "run", "--json", *map(str, args), env=env)
    assert run.returncode == code, run.stderr
    return dict(json.loads(run.stdout))


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "records.csv").open(newline="") as file:
        return list(csv.DictReader(file))


# -- against the log of the mock server


@pytest.mark.quiet
@pytest.mark.parametrize(
    "options", [(), ("--role-chunk", "2"), ("--tokens-per-chunk", "4"), ("--role-chunk", "0")]
)
def test_times_are_those_of_the_servers_log(
    cli: Cli, mock: MockStart, options: tuple[str, ...]
) -> None:
    server = mock("--ttft-ms", "40", "--itl-ms", "4", *options)
    (level,) = bench(cli, server.url, "--concurrency", 16, "--requests", 96, "--output-tokens", 32)[
        "levels"
    ]
    told = server.stop()
    assert len(told) == 96
    ttft = statistics.median((a.first_ns - a.received_ns) / 1e6 for a in told)
    tpot = statistics.fmean((a.last_ns - a.first_ns) / 1e6 / (a.tokens - 1) for a in told)
    assert level["ttft_ms"]["p50"] == pytest.approx(
        ttft, abs=5
    )  # a busy machine; the figure is in benchmarks/
    assert level["tpot_ms"]["mean"] == pytest.approx(tpot, abs=0.25)
    assert level["itl_ms"]["mean"] == pytest.approx(tpot, rel=0.03)
    assert level["valid"], level["invalid_reasons"]


@pytest.mark.quiet
@pytest.mark.parametrize(
    ("option", "kind"), [("--error-rate", "HTTP 500"), ("--drop-rate", "connection closed")]
)
def test_failures_are_those_of_the_servers_log(
    cli: Cli, tmp_path: Path, mock: MockStart, option: str, kind: str
) -> None:
    server = mock("--ttft-ms", "5", "--itl-ms", "1", option, "0.3")
    (level,) = bench(
        cli,
        server.url,
        "--concurrency",
        8,
        "--requests",
        120,
        "--output-tokens",
        16,
        "--warmup",
        0,
        "--slo",
        "error_rate=1%,ttft_p50=1s",
    )["levels"]
    bad = sum(answer.ending != "ok" for answer in server.stop())
    assert bad > 10
    assert (level["requests"], level["errors"]) == (120, bad)
    assert all(name.startswith(kind) for name in level["error_kinds"])
    assert level["goodput_per_s"] <= level["requests_per_s"]
    assert [slo["met"] for slo in level["slos"]] == [False, True]
    failed = [row for row in rows(tmp_path / "run") if row["error"]]
    assert len(failed) == bad


@pytest.mark.quiet
def test_several_workers_merge_into_one_level(cli: Cli, tmp_path: Path, mock: MockStart) -> None:
    server = mock("--ttft-ms", "10", "--itl-ms", "1")
    (level,) = bench(
        cli,
        server.url,
        "--concurrency",
        9,
        "--requests",
        90,
        "--workers",
        3,
        "--output-tokens",
        8,
    )["levels"]
    assert level["client"]["workers"] == 3
    assert level["requests"] == 90
    table = rows(tmp_path / "run")
    assert sorted(int(row["index"]) for row in table) == list(range(90))
    assert {row["worker"] for row in table} == {"0", "1", "2"}


@pytest.mark.quiet
def test_an_open_load_keeps_its_times_however_slow_the_server(
    cli: Cli, tmp_path: Path, mock: MockStart
) -> None:
    server = mock("--ttft-ms", "300", "--itl-ms", "1")
    args = (
        "--rate",
        20,
        "--duration-s",
        3,
        "--output-tokens",
        4,
        "--warmup",
        0,
        "--arrival",
        "constant",
    )
    (level,) = bench(cli, server.url, *args)["levels"]
    times = sorted(int(row["intended_ns"]) for row in rows(tmp_path / "run"))
    assert len(times) == 60
    assert times[30] == pytest.approx(1.5e9, abs=1e6)
    assert level["client"]["max_in_flight"] >= 5
    shutil.rmtree(tmp_path / "run")
    # More processes than requests that may be in flight hold to it, too.
    (held,) = bench(cli, server.url, *args, "--max-in-flight", 2, "--workers", 4)["levels"]
    assert held["client"]["max_in_flight"] == 2
    assert held["client"]["workers"] == 2
    # waiting for a place counts: no coordinated omission
    assert held["ttft_ms"]["p90"] > 3 * level["ttft_ms"]["p90"]
    assert held["queue_delay_ms"]["p90"] > 1000
    assert held["valid"], held["invalid_reasons"]


@pytest.mark.quiet
def test_the_same_seed_sends_the_same_requests_at_the_same_times(
    cli: Cli, tmp_path: Path, mock: MockStart
) -> None:
    server = mock("--ttft-ms", "1", "--itl-ms", "1")
    seen = []
    for seed in (5, 5, 6):
        bench(
            cli,
            server.url,
            "--rate",
            30,
            "--duration-s",
            1.5,
            "--seed",
            seed,
            "--output-tokens",
            "uniform:2-30",
            "--input-tokens",
            "zipf:1.1,20-90",
            "--arrival",
            "gamma",
            "--burstiness",
            0.5,
            "--workers",
            2,
        )
        table = sorted(rows(tmp_path / "run"), key=lambda row: int(row["index"]))
        seen.append(
            [(row["intended_ns"], row["input_wanted"], row["output_wanted"]) for row in table]
        )
        shutil.rmtree(tmp_path / "run")
    assert seen[0] == seen[1] != seen[2]


@pytest.mark.quiet
def test_conversations_wait_think_and_carry_the_answers(
    cli: Cli, tmp_path: Path, mock: MockStart
) -> None:
    server = mock("--ttft-ms", "5", "--itl-ms", "1")
    bench(
        cli,
        server.url,
        "--concurrency",
        3,
        "--requests",
        6,
        "--turns",
        3,
        "--think-time-s",
        0.2,
        "--output-tokens",
        8,
    )
    table = rows(tmp_path / "run")
    assert len(table) == 18
    for conversation in range(6):
        turns = sorted(
            (r for r in table if r["conversation"] == str(conversation)),
            key=lambda r: int(r["turn"]),
        )
        assert [turn["turn"] for turn in turns] == ["0", "1", "2"]
        inputs = [int(turn["input_tokens"]) for turn in turns]
        assert inputs == sorted(inputs)
        assert inputs[2] > 2 * inputs[0]
        for before, after in pairwise(turns):
            assert int(after["intended_ns"]) - int(before["done_ns"]) == pytest.approx(
                0.2e9, rel=0.15
            )


@pytest.mark.quiet
def test_a_trace_is_replayed_at_its_times(cli: Cli, tmp_path: Path, mock: MockStart) -> None:
    server = mock("--ttft-ms", "1", "--itl-ms", "0.1")
    lines = [
        {"timestamp": 1000 + 400 * i, "input_length": 50 + i, "output_length": 3 + i}
        for i in range(10)
    ]
    (tmp_path / "trace.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (level,) = bench(cli, server.url, "--trace", "trace.jsonl", "--time-scale", 2)["levels"]
    table = sorted(rows(tmp_path / "run"), key=lambda row: int(row["index"]))
    assert [int(row["intended_ns"]) for row in table] == pytest.approx(
        [int(2e8 * i) for i in range(10)], abs=2
    )
    assert [int(row["output_tokens"]) for row in table] == list(range(3, 13))
    assert level["label"] == "trace x2"


@pytest.mark.quiet
def test_the_search_finds_the_rate_of_a_server_that_saturates(
    cli: Cli, tmp_path: Path, mock: MockStart
) -> None:
    # 4 places of 50 ms each are 80 requests a second; beyond that the wait for a place grows
    server = mock("--ttft-ms", "50", "--itl-ms", "0")
    report = bench(
        cli,
        server.url,
        "--search",
        "--rate",
        40,
        "--slo",
        "ttft_p90=80ms",
        "--output-tokens",
        1,
        "--max-in-flight",
        4,
        "--requests",
        120,
    )
    assert 35 < report["finding"]["best_rate_per_s"] < 81
    assert report["finding"]["failing_rate_per_s"] <= report["finding"]["best_rate_per_s"] * 2
    shutil.rmtree(tmp_path / "run")
    hopeless = bench(
        cli,
        server.url,
        "--search",
        "--rate",
        20,
        "--slo",
        "ttft_p90=10ms",
        "--output-tokens",
        1,
        "--requests",
        60,
    )
    assert hopeless["finding"]["best_rate_per_s"] is None
    assert "one request at a time misses ttft_p90=10ms" in hopeless["finding"]["text"]
    assert len(hopeless["levels"]) == 2


@pytest.mark.quiet
def test_builtin_prompts_files_and_parquet_records(
    cli: Cli, tmp_path: Path, mock: MockStart
) -> None:
    pytest.importorskip("pyarrow")
    server = mock("--ttft-ms", "1", "--itl-ms", "0")
    bench(
        cli,
        server.url,
        "--dataset",
        "builtin",
        "--concurrency",
        4,
        "--requests",
        40,
        "--records",
        "parquet",
    )
    from pyarrow.parquet import read_table

    table = read_table(tmp_path / "run" / "records.parquet")
    assert table.num_rows == 40
    assert set(table.column("output_wanted").to_pylist()) > {30, 50, 60}
    assert table.column("ttft_ms").null_count == 0


# -- what the client says of itself


@pytest.mark.quiet
def test_a_client_that_is_the_bottleneck_makes_the_run_invalid(cli: Cli, mock: MockStart) -> None:
    server = mock("--itl-ms", "0")
    args = ("--concurrency", 64, "--requests", 2500, "--output-tokens", 128)
    report = bench(cli, server.url, *args, code=5)
    assert any("the client was" in reason for reason in report["levels"][0]["invalid_reasons"])
    run = cli("bench", "--url", server.url, "-o", "again", *map(str, args), "--allow-invalid")
    assert run.returncode == 0
    assert "INVALID" in run.stdout


def test_a_server_that_dies_under_the_load_ends_the_run(
    cli: Cli, tmp_path: Path, mock: MockStart
) -> None:
    server = mock("--ttft-ms", "20", "--itl-ms", "2")

    def stop_when_measured() -> None:
        deadline_s = time.monotonic() + 200
        while not (tmp_path / "run").exists() and time.monotonic() < deadline_s:
            time.sleep(0.1)
        time.sleep(2)
        server.stop()

    threading.Thread(target=stop_when_measured, daemon=True).start()
    run = cli(
        "bench",
        "--url",
        server.url,
        "-o",
        "run",
        "--concurrency",
        "2",
        "--duration-s",
        "40",
        "--warmup",
        "0",
    )
    assert run.returncode == 4, run.stderr
    assert "the server is gone" in run.stderr
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert report["manifest"]["complete"] is False
    assert report["levels"][0]["valid"] is False


def test_a_url_from_anywhere_means_the_server_that_runs_there(cli: Cli, mock: MockStart) -> None:
    server = mock("--ttft-ms", "2", "--itl-ms", "0")
    run = cli(
        "bench", "--requests", "4", "--concurrency", "1", "--json", env={"LLMOPS_URL": server.url}
    )
    manifest = json.loads(run.stdout)["manifest"]
    assert (manifest["recipe"]["backend"], manifest["recipe"]["model"]) == ("remote", "mock")
    assert len(server.stop()) == 4


# -- scripted servers


Handler = Callable[[socket.socket, bytes], None]
EVENT = b'data: {"choices":[{"delta":{"content":"x"},"finish_reason":"stop"}]}\n\n'
USAGE = (
    b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":1}}\n\ndata: [DONE]\n\n'
)


def stream(*pieces: bytes) -> bytes:
    body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body + b"0\r\n\r\n"


@contextmanager
def scripted(
    handler: Handler, *, family: int = socket.AF_INET, tls: ssl.SSLContext | None = None
) -> Iterator[int]:
    """A server that gives each request's raw bytes to `handler`; a GET gets an empty list of
    models.
    """
    listener = socket.create_server(
        ("::1" if family == socket.AF_INET6 else "127.0.0.1", 0), family=family
    )
    stopping = threading.Event()

    def serve(connection: socket.socket) -> None:
        try:
            if tls is not None:
                connection = tls.wrap_socket(connection, server_side=True)
            pending = b""
            while not stopping.is_set():
                while b"\r\n\r\n" not in pending:
                    piece = connection.recv(65536)
                    if not piece:
                        return
                    pending += piece
                head, _, rest = pending.partition(b"\r\n\r\n")
                length = next(
                    (
                        int(h[15:])
                        for h in head.split(b"\r\n")
                        if h.lower().startswith(b"content-length:")
                    ),
                    0,
                )
                while len(rest) < length:
                    rest += connection.recv(65536)
                request = head + b"\r\n\r\n" + rest[:length]
                pending = rest[length:]
                if request.startswith(b"GET"):
                    connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{"data":[]}')
                else:
                    handler(connection, request)
        except OSError:
            return
        finally:
            connection.close()

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        stopping.set()
        listener.close()


FEW = ("--concurrency", "2", "--requests", "6", "--output-tokens", "1", "--warmup", "0")


def test_headers_key_and_body_fields_arrive_and_no_secret_is_saved(
    cli: Cli, tmp_path: Path
) -> None:
    seen: list[bytes] = []

    def answer(connection: socket.socket, request: bytes) -> None:
        seen.append(request)
        connection.sendall(stream(EVENT, USAGE))

    with scripted(answer) as port:
        env = {"LLMOPS_API_KEY": "sk-very-secret", "TEAM_TOKEN": "tok-very-secret"}
        bench(
            cli,
            f"http://127.0.0.1:{port}/v1",
            "--model",
            "m",
            *FEW,
            "--header",
            "X-Team-Token: $TEAM_TOKEN",
            "--body",
            "top_p=0.5",
            "--body",
            "user=me",
            "--api",
            "completions",
            env=env,
        )
    streamed = [request for request in seen if b'"stream":true' in request]
    assert len(streamed) == 6
    head, _, body = streamed[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v1/completions HTTP/1.1\r\n")
    assert b"Authorization: Bearer sk-very-secret" in head
    assert b"X-Team-Token: tok-very-secret" in head
    assert b"Accept-Encoding: identity" in head
    fields = json.loads(body)
    assert (fields["model"], fields["top_p"], fields["user"], fields["max_tokens"]) == (
        "m",
        0.5,
        "me",
        1,
    )
    for path in (tmp_path / "run").iterdir():
        assert "very-secret" not in path.read_text(errors="replace"), path
    run = cli("bench", "--url", "http://127.0.0.1:1", "--header", "Authorization: Bearer sk-1")
    assert run.returncode == 2
    assert "would be saved in the report" in run.stderr


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "the answer is no event stream"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc", "protocol"),
        (b"nonsense\r\n\r\n", "protocol"),
        (stream(b"data: {broken\n\n", USAGE), "a malformed event"),
        (stream(EVENT.replace(b'"stop"', b"null")), "the stream ended early"),
        (stream(b'data: {"error": {"message": "no memory"}}\n\n'), "error event"),
    ],
)
def test_half_answers_are_errors_and_an_all_failing_run_is_invalid(
    cli: Cli, reply: bytes, kind: str
) -> None:
    def answer(connection: socket.socket, _: bytes) -> None:
        connection.sendall(reply)

    with scripted(answer) as port:
        (level,) = bench(cli, f"http://127.0.0.1:{port}", "--model", "m", *FEW, code=5)["levels"]
    assert list(level["error_kinds"]) == [kind]
    assert level["errors"] == 6
    assert level["requests_per_s"] == 0
    assert level["output_tokens_per_s"] == 0
    assert level["invalid_reasons"] == ["no request succeeded"]


def test_a_silent_server_times_out(cli: Cli) -> None:
    with scripted(lambda *_: time.sleep(30)) as port:
        start = time.monotonic()
        (level,) = bench(
            cli, f"http://127.0.0.1:{port}", "--model", "m", *FEW, "--timeout-s", 1, code=5
        )["levels"]
    assert list(level["error_kinds"]) == ["timeout"]
    assert time.monotonic() - start < 15


def test_a_connection_that_the_server_closed_while_idle_is_opened_again(cli: Cli) -> None:
    def answer(connection: socket.socket, _: bytes) -> None:
        connection.sendall(stream(EVENT, USAGE))
        connection.close()

    with scripted(answer) as port:
        (level,) = bench(cli, f"http://127.0.0.1:{port}", "--model", "m", *FEW)["levels"]
    assert level["errors"] == 0
    assert level["connect_ms"]["count"] > 0  # and its cost is apart from TTFT
    assert level["ttft_ms"]["p50"] < 50


def test_refused_requests_are_asked_less_and_less_often(cli: Cli) -> None:
    asked = 0

    def answer(connection: socket.socket, request: bytes) -> None:
        nonlocal asked
        asked += b'"stream":true' in request
        connection.sendall(b"HTTP/1.1 429 Too Many\r\nContent-Length: 0\r\n\r\n")

    with scripted(answer) as port:
        (level,) = bench(
            cli,
            f"http://127.0.0.1:{port}",
            "--model",
            "m",
            "--concurrency",
            1,
            "--duration-s",
            2,
            "--warmup",
            0,
            code=5,
        )["levels"]
    assert asked < 30
    assert list(level["error_kinds"]) == ["HTTP 429"]


def test_prompt_lengths_are_exact_with_a_tokenizer_that_only_takes_plain_text(cli: Cli) -> None:
    """As llama-server's /tokenize does; the chat template costs seven more, which only its usage
    tells.
    """

    def answer(connection: socket.socket, request: bytes) -> None:
        head, _, raw = request.partition(b"\r\n\r\n")
        fields = json.loads(raw)
        if b" /tokenize " in head:
            tokens = [0] * sum(1 + (len(word) > 5) for word in fields.get("content", "").split())
            reply = json.dumps({"tokens": tokens}).encode()
        else:
            text = fields["messages"][0]["content"]
            used = 7 + sum(1 + (len(word) > 5) for word in text.split())
            usage = {"prompt_tokens": used, "completion_tokens": 1}
            if fields.get("stream"):
                connection.sendall(
                    stream(
                        EVENT,
                        b"data: "
                        + json.dumps({"choices": [], "usage": usage}).encode()
                        + b"\n\ndata: [DONE]\n\n",
                    )
                )
                return
            reply = json.dumps({"choices": [], "usage": usage}).encode()
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(reply), reply))

    with scripted(answer) as port:
        (level,) = bench(
            cli, f"http://127.0.0.1:{port}", "--model", "m", *FEW, "--input-tokens", 90
        )["levels"]
    assert level["input_tokens"] == 90 * level["measured"]
    assert not any("token" in note for note in level["notes"])


def test_ipv6(cli: Cli) -> None:
    if not Path("/proc/net/if_inet6").read_text().strip():
        pytest.skip("this machine has no IPv6")
    with scripted(lambda c, _: c.sendall(stream(EVENT, USAGE)), family=socket.AF_INET6) as port:
        (level,) = bench(cli, f"http://[::1]:{port}", "--model", "m", *FEW)["levels"]
    assert level["errors"] == 0


def test_tls_with_a_certificate_that_is_trusted_or_not(cli: Cli, tmp_path: Path) -> None:
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-keyout",
            "key.pem",
            "-out",
            "cert.pem",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost,IP:127.0.0.1",
        ],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    with scripted(lambda c, _: c.sendall(stream(EVENT, USAGE)), tls=context) as port:
        url = f"https://127.0.0.1:{port}"
        (level,) = bench(
            cli, url, "--model", "m", *FEW, env={"SSL_CERT_FILE": str(tmp_path / "cert.pem")}
        )["levels"]
        assert level["errors"] == 0
        shutil.rmtree(tmp_path / "run")
        (level,) = bench(cli, url, "--model", "m", *FEW, "--insecure")["levels"]
        assert level["errors"] == 0
        run = cli("bench", "--url", url, "--model", "m", *FEW)
        assert run.returncode == 3
        assert "certificate" in run.stderr


def test_a_proxy_is_used_only_when_asked(cli: Cli, tmp_path: Path) -> None:
    seen: list[bytes] = []

    def answer(connection: socket.socket, request: bytes) -> None:
        seen.append(request.split(b"\r\n")[0])
        connection.sendall(stream(EVENT, USAGE))

    with scripted(answer) as port, scripted(answer) as proxy:
        url = f"http://127.0.0.1:{port}"
        other = f"http://127.0.0.1:{proxy}"
        bench(
            cli,
            url,
            "--model",
            "m",
            *FEW,
            env={"http_proxy": "http://127.0.0.1:9", "HTTP_PROXY": "http://x:9"},
        )
        assert all(line.startswith(b"POST /") for line in seen)
        seen.clear()
        shutil.rmtree(tmp_path / "run")
        bench(cli, url, "--model", "m", *FEW, "--proxy", other)
    assert any(line.startswith(b"POST " + url.encode()) for line in seen)


def test_a_full_disk_ends_the_run_with_its_reason(
    cli: Cli, tmp_path: Path, mock: MockStart
) -> None:
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(small)], check=False
    ).returncode:
        pytest.skip("this machine cannot mount a small disk")
    try:
        server = mock("--itl-ms", "0")
        run = cli(
            "bench",
            "--url",
            server.url,
            "-o",
            str(small / "run"),
            "--concurrency",
            "8",
            "--requests",
            "4000",
            "--output-tokens",
            "2",
            "--allow-invalid",
        )
        assert run.returncode == 3, run.stderr
        assert "no space left" in run.stderr
        assert "Traceback" not in run.stderr
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_a_second_run_into_the_same_folder_is_refused_while_the_first_goes(
    cli: Cli, tmp_path: Path, mock: MockStart
) -> None:
    server = mock("--ttft-ms", "20", "--itl-ms", "10")
    argv = [
        sys.executable,
        "-m",
        "llmops_cli",
        "bench",
        "--url",
        server.url,
        "-o",
        "run",
        "--duration-s",
        "6",
        "--concurrency",
        "1",
    ]
    first = subprocess.Popen(argv, cwd=tmp_path, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 10
        while not (tmp_path / "run" / "records" / "0-0-0.jsonl").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(1)
        run = cli("bench", "--url", server.url, "-o", "run", "--requests", "1")
        assert run.returncode == 2
        assert "holds a run already" in run.stderr
        shown = cli("report", "show", "run")
        assert "still going" in shown.stdout
    finally:
        assert first.wait(30) == 0


@pytest.mark.quiet
def test_the_servers_own_metrics_and_the_engines_memory_are_in_the_series(cli: Cli) -> None:
    run = cli(
        "bench",
        "--backend",
        "sim",
        "--set",
        "ttft_ms=50",
        "--concurrency",
        "2",
        "--duration-s",
        "3",
        "--json",
    )
    (level,) = json.loads(run.stdout)["levels"]
    assert len(level["series"]) >= 3
    engine = [point["engine"] for point in level["series"] if point.get("engine")]
    assert engine[0]["rss_bytes"] > 1e6
    assert level["series"][1]["in_flight"] == pytest.approx(2, abs=0.3)
