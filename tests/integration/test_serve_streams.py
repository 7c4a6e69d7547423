"""Streams on their way out: kept alive while there is nothing to say, and held back by nobody."""

from __future__ import annotations

import concurrent.futures
import json
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from tests.gateway import CHAT, Gateway, Starter, Upstream, free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

ALIVE = b": keep-alive\n\n"
STREAM = {**CHAT, "stream": True}
MOST_TOSSES = 40
"""Of two upstreams that do nothing the first is drawn: the other one may win some times."""


def config(*upstreams: Upstream, more: str = "", settings: str = "") -> str:
    """One pool of them all, and streams that show a sign of life every 0.2 s."""
    lines = ["streams: {keep_alive_s: 0.2}", more, "upstreams:"]
    lines += [f"  u{i}: {{url: '{each.url}'{settings}}}" for i, each in enumerate(upstreams)]
    names = ", ".join(f"u{i}" for i, _ in enumerate(upstreams))
    return "\n".join([*lines, f"models: {{m: {{pool: [{names}]}}}}"])


def openai_client(gateway: Gateway) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key, max_retries=0)


def said(events: bytes) -> str:
    found = ""
    for line in events.splitlines():
        if line.startswith(b"data: {"):
            for choice in json.loads(line[6:]).get("choices", ()):
                found += choice["delta"].get("content") or ""
    return found


def test_a_long_prefill_is_bridged(upstream: Upstream, start: Starter) -> None:
    gateway = start.config(config(upstream))
    upstream.prefill_s = 1.0
    status, headers, body = gateway.ask(STREAM)
    assert (status, headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    assert headers["cache-control"] == "no-cache"
    assert headers["x-accel-buffering"] == "no"
    assert body.startswith(ALIVE * 3)
    assert (said(body), body[-14:]) == ("Hello there.", b"data: [DONE]\n\n")
    with openai_client(gateway) as client:
        pieces = client.chat.completions.create(**{**STREAM, "model": "m"})  # type: ignore[call-overload]
        texts = [piece.choices[0].delta.content for piece in pieces if piece.choices]
        assert texts == ["Hello", " there", ".", None]
    with (
        anthropic.Anthropic(base_url=gateway.url, api_key=gateway.key, max_retries=0) as client2,
        client2.messages.stream(
            model="m", max_tokens=50, messages=[{"role": "user", "content": "Hi"}]
        ) as stream,
    ):
        assert list(stream.text_stream) == ["Hello", " there", "."]
    raw = gateway.ask({**STREAM, "max_tokens": 9}, path="/v1/messages")[2]
    assert raw.startswith(b'event: ping\ndata: {"type":"ping"}\n\n')
    assert b": keep-alive" not in raw
    status, headers, body = gateway.ask(CHAT)
    assert (status, headers["content-type"]) == (200, "application/json")
    assert json.loads(body)["usage"]["total_tokens"] == 8, "a whole answer is no stream"
    time.sleep(0.3)
    assert all(line["first_ms"] >= 1000 for line in gateway.audit()), "no comment is a first word"


@pytest.mark.parametrize("end", [b"\r\n", b"\r"])
def test_every_end_of_a_line_is_one(upstream: Upstream, start: Starter, end: bytes) -> None:
    gateway = start.config(config(upstream))
    upstream.line_end = end
    status, _, body = gateway.ask(STREAM)
    assert (status, said(body)) == (200, "Hello there.")
    assert b"\r" not in body
    assert body.endswith(b"data: [DONE]\n\n")


def test_gaps_within_a_stream_are_bridged_between_events(
    upstream: Upstream, start: Starter
) -> None:
    gateway = start.config(config(upstream))
    upstream.delay_s = 0.5
    body = gateway.ask(STREAM)[2]
    assert said(body) == "Hello there."
    assert body.count(ALIVE) >= 3
    for event in body.removesuffix(b"\n\n").split(b"\n\n"):
        assert event == b": keep-alive" or event.startswith(b"data: ")


def test_others_are_asked_after_the_status_was_told(start: Starter, upstreams: Any) -> None:
    broken, fine = upstreams(2)
    broken.mode = "500"
    broken.prefill_s = 0.7
    gateway = start.config(config(broken, fine))
    body = b""
    for _ in range(MOST_TOSSES):
        body = gateway.ask(STREAM)[2]
        assert said(body) == "Hello there."
        if broken.seen:
            break
    assert body.startswith(ALIVE), "the broken one was asked first"


def test_what_goes_wrong_later_is_an_event(upstream: Upstream, start: Starter) -> None:
    gateway = start.config(config(upstream, more="retries: {most: 0}"))
    upstream.prefill_s = 0.7
    upstream.mode = "500"
    status, _, body = gateway.ask(STREAM)
    last = body.split(b"\n\n")[-2]
    assert (status, last[:6]) == (200, b"data: ")
    assert "message" in json.loads(last[6:])["error"]
    with openai_client(gateway) as client, pytest.raises(openai.APIError):
        list(client.chat.completions.create(**{**STREAM, "model": "m"}))  # type: ignore[call-overload]
    with (
        anthropic.Anthropic(base_url=gateway.url, api_key=gateway.key, max_retries=0) as client2,
        pytest.raises(anthropic.APIError),
        client2.messages.stream(
            model="m", max_tokens=50, messages=[{"role": "user", "content": "Hi"}]
        ) as stream,
    ):
        list(stream.text_stream)
    body = gateway.ask({"model": "m", "input": "Hi", "stream": True}, path="/v1/responses")[2]
    kind, data = body.split(b"\n\n")[-2].split(b"\n")
    assert kind == b"event: error"
    assert json.loads(data[6:])["type"] == "error"
    time.sleep(0.3)
    assert {line["status"] for line in gateway.audit()} == {500}, "the log says what came of it"


def test_who_waits_in_the_queue_is_kept_alive(upstream: Upstream, start: Starter) -> None:
    gateway = start.config(
        config(upstream, more="queue: {wait_s: 0.8}", settings=", max_in_flight: 1")
    )
    upstream.prefill_s = 2.0
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        first = pool.submit(gateway.ask, STREAM)
        time.sleep(0.5)
        status, _, body = gateway.ask(STREAM)
        assert said(first.result()[2]) == "Hello there."
    assert (status, body.startswith(ALIVE)) == (200, True)
    error = json.loads(body.split(b"\n\n")[-2][6:])["error"]
    assert error["code"] == "overloaded"


def test_an_upstream_that_does_not_stream_after_all(upstream: Upstream, start: Starter) -> None:
    """Its whole answer is told as events, since a stream was promised."""
    gateway = start.config(config(upstream))
    upstream.prefill_s = 0.7
    upstream.mode = "whole"
    body = gateway.ask(STREAM)[2]
    assert body.startswith(ALIVE)
    assert (said(body), body[-14:]) == ("Hello there.", b"data: [DONE]\n\n")
    raw = gateway.ask({**STREAM, "max_tokens": 9}, path="/v1/messages")[2]
    assert b"message_stop" in raw


def test_nothing_is_said_where_the_file_turns_it_off(upstream: Upstream, start: Starter) -> None:
    gateway = start.config(config(upstream).replace("0.2}", "0}"))
    upstream.prefill_s = 0.7
    upstream.mode = "500"
    assert gateway.ask(STREAM)[0] == 500, "so long the status can tell"
    upstream.mode = "fine"
    assert ALIVE not in gateway.ask(STREAM)[2]


@pytest.fixture
def nginx(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """A port for nginx with TLS, and a file that says where it passes requests."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        pytest.skip("no nginx")
    port = free_port()
    target = tmp_path / "target.conf"
    cert = tmp_path / "cert.pem"
    key = tmp_path / "key.pem"
    argv = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
    argv += ["-subj", "/CN=localhost", "-keyout", str(key), "-out", str(cert)]
    subprocess.run(argv, check=True, capture_output=True)
    file = tmp_path / "nginx.conf"
    file.write_text(
        f"""
daemon off; pid {tmp_path}/nginx.pid; error_log {tmp_path}/nginx.log;
events {{}}
http {{
  access_log off;
  client_body_temp_path {tmp_path}/body; proxy_temp_path {tmp_path}/proxy;
  fastcgi_temp_path {tmp_path}/f; uwsgi_temp_path {tmp_path}/u; scgi_temp_path {tmp_path}/s;
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {cert}; ssl_certificate_key {key};
    location / {{ include {target}; }}
  }}
}}
"""
    )
    target.write_text("return 503;")
    process = subprocess.Popen([program, "-c", str(file), "-p", str(tmp_path)])
    try:
        yield port, target
    finally:
        process.terminate()
        process.wait(10)


def test_nginx_passes_each_token_as_it_comes(
    nginx: tuple[int, Path], upstream: Upstream, start: Starter, tmp_path: Path
) -> None:
    """With its defaults, buffering on, behind TLS."""
    port, target = nginx
    gateway = start(upstream.url)
    target.write_text(f"proxy_pass {gateway.url};")
    pid = int((tmp_path / "nginx.pid").read_text())
    subprocess.run(["kill", "-HUP", str(pid)], check=True)
    upstream.words = [f" word{i}" for i in range(20)]
    upstream.delay_s = 0.05
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    body = json.dumps(STREAM).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        f"Authorization: Bearer {gateway.key}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    answer = b""
    for _ in range(20):  # until it has read its file anew
        with (
            socket.create_connection(("127.0.0.1", port), timeout=20) as plain,
            context.wrap_socket(plain) as secure,
        ):
            secure.sendall(head.encode() + body)
            reads = []
            while piece := secure.recv(65536):
                reads.append(piece)
        answer = b"".join(reads)
        if answer.startswith(b"HTTP/1.1 200"):
            break
        time.sleep(0.1)
    assert said(answer) == "".join(upstream.words)
    assert sum(b"word" in piece for piece in reads) >= 15


@pytest.mark.quiet
def test_a_large_event_is_judged_while_others_are_served(
    upstream: Upstream, start: Starter
) -> None:
    """A server that says a megabyte at once, as a chat's piece and as a response's result."""
    gateway = start(upstream.url, "--guard", "default")
    large = "All is well, and nothing of it is anybody's. " * 20_000
    upstream.words = [large]
    item = {"type": "mcp_call", "id": "i", "name": "read", "arguments": "{}", "output": large}
    whole = {"id": "r", "object": "response", "status": "completed", "output": [item]}
    upstream.events = [
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": whole},
    ]
    asked = [("/v1/chat/completions", STREAM)]
    asked.append(("/v1/responses", {"model": "m", "input": "Hi", "stream": True}))
    for path, body in asked:
        gateway.ask(body, path=path)  # the guard is read
        waits = []
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            answer = pool.submit(gateway.ask, body, path=path)
            while not answer.done():
                begin = time.monotonic()
                assert gateway.ask(None, path="/health")[0] == 200
                waits.append(time.monotonic() - begin)
        assert large.encode()[:1000] in answer.result()[2]
        assert sorted(waits)[len(waits) // 2] < 0.05, (path, waits)


@pytest.mark.quiet
def test_a_very_large_answer_passes_while_others_are_served(
    upstream: Upstream, start: Starter
) -> None:
    """32 MB of vectors: they were read and copied for 150 to 300 ms in which nobody was served."""
    row = b"[%b]" % b",".join([b"0.123456"] * 3000)
    rows = b",".join([b'{"index":0,"embedding":%b}' % row] * 1_200)
    counts = b'{"prompt_tokens":9,"total_tokens":9}'
    large = b'{"object":"list","data":[%b],"usage":%b}' % (rows, counts)
    upstream.answers["/v1/embeddings"] = ("application/json", large)
    gateway = start(upstream.url)
    asked = {"model": "m", "input": "Hi"}
    waits = []
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        answer = pool.submit(gateway.ask, asked, path="/v1/embeddings")
        while not answer.done():
            begin = time.monotonic()
            assert gateway.ask(None, path="/health")[0] == 200
            waits.append(time.monotonic() - begin)
    assert answer.result()[2] == large
    assert max(waits) < 0.12, waits
    assert gateway.audited()[0]["input_tokens"] == 9
