"""What a gateway tells of itself: broken answers are called so, and figures agree."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from typing import Any

import pytest

from tests.gateway import CHAT, Gateway, Starter, Upstream

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

STREAM = {**CHAT, "stream": True}
PRICED = "upstreams: {{one: {{url: '{url}'}}}}\nmodels: {{m: {{pool: [one]}}}}\n"


def state(gateway: Gateway, admin: str) -> Any:  # Any: JSON
    return json.loads(gateway.ask(None, path="/admin/state", key=admin)[2])


def leave(gateway: Gateway) -> None:
    """In the middle of a stream."""
    body = json.dumps(STREAM).encode()
    host, _, port = gateway.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port))) as client:
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n"
            f"Authorization: Bearer {gateway.key}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        client.sendall(head.encode() + body)
        assert b"200" in client.recv(4096)


def test_an_answer_that_broke_off_is_an_error_everywhere(
    upstream: Upstream, start: Starter
) -> None:
    gateway = start.config(PRICED.format(url=upstream.url))
    admin = start.key("ops", "--role", "admin")
    few = start.key("few", "--requests-per-minute", "1")
    time.sleep(1)
    assert gateway.ask(STREAM)[0] == 200
    upstream.mode = "half"
    for _ in range(2):
        status, _, body = gateway.ask(STREAM)
        assert status == 200
        assert b'"error"' in body
    upstream.mode = "500"
    assert gateway.ask(CHAT)[0] == 500
    upstream.mode = "fine"
    upstream.words = ["word "] * 200
    upstream.delay_s = 0.02
    leave(gateway)
    late = {"X-LLMOPS-Timeout-Ms": "400"}
    assert gateway.ask(STREAM, headers=late)[0] == 200
    upstream.delay_s = 0.6
    assert gateway.ask(CHAT, headers=late)[0] == 408
    upstream.delay_s = 0
    assert [gateway.ask(CHAT, key=few)[0] for _ in range(2)] == [200, 429]
    gateway.ask(None, path="/metrics", key="no key")
    gateway.ask(None, path="/nowhere")
    time.sleep(1.5)
    lines = gateway.audit()
    ended = [line["ended"] for line in lines if line["route"].endswith("completions")]
    cut_short = ["client_gone", "deadline", "deadline"]
    assert ended == ["ok", "broken", "broken", "ok", *cut_short, "ok", "ok"]
    found = state(gateway, admin)
    model = found["models"]["m"]
    assert (model["errors"], model["broken"]) == (3, 2), "what clients do is no error"
    rows = [*found["models"].values(), found["no_model"]]
    for field in ("requests", "errors", "client_errors"):
        assert found[field] == sum(row[field] for row in rows), field
    assert found["requests"] == len(lines)
    assert found["requests"] == sum(found["statuses"].values())
    assert model["e2e"][-1][1] == sum(
        line["status"] == 200 for line in lines if line.get("model") == "m"
    )
    text = gateway.ask(None, path="/metrics", key=admin)[2].decode()
    assert 'broken_answers_total{model="m"} 2.0' in text
    assert 'request_seconds_count{class="4xx",model="m"}' in text


LONG = "x" * 9_000_000


def test_no_value_of_a_client_is_endless_anywhere(upstream: Upstream, start: Starter) -> None:
    gateway = start.config(PRICED.format(url=upstream.url) + "audit: {bodies: false}\n")
    bodies: list[dict[str, Any]] = [
        {**CHAT, "model": LONG},
        {**CHAT, "user": LONG},
        {**CHAT, "max_tokens": 5, "metadata": {"user_id": LONG}},
        {**CHAT, "messages": [{"role": LONG, "content": "Hi"}], "max_tokens": 5},
    ]
    for path in ("/v1/chat/completions", "/v1/messages", "/v1/completions", "/v1/embeddings"):
        for body in bodies:
            begin = time.monotonic()
            status, headers, answer = gateway.ask(body, path=path)
            assert status in (200, 400, 404), (path, status, answer[:200])
            assert len(answer) < 4000
            assert sum(map(len, headers.values())) < 4000
            assert time.monotonic() - begin < 10
    headers = {"X-Session-Id": "s" * 20_000, "traceparent": "t" * 20_000}
    assert gateway.ask(CHAT, headers=headers)[0] == 200
    assert gateway.ask(None, path="/" + "p" * 20_000)[0] == 404
    raw = (gateway.state / "audit.jsonl").read_bytes()
    assert max(map(len, raw.splitlines())) < 2000
    assert len(start.log()) < 20_000


@pytest.mark.parametrize(
    "value", ["nan", "inf", "-inf", "1e999", "-1", "0", "", "1e-999", "9" * 99]
)
def test_a_deadline_that_is_no_time_is_refused(
    value: str, upstream: Upstream, start: Starter
) -> None:
    gateway = start(upstream.url)
    status, _, body = gateway.ask(CHAT, headers={"X-LLMOPS-Timeout-Ms": value})
    assert status == 400
    assert json.loads(body)["error"]["code"] == "invalid_header"


NUMBERS = ["1e999", "-1e999", "9" * 400, "9" * 5000]
FIELDS = ["temperature", "seed", "max_tokens", "n", "top_p", "made_up"]


def test_numbers_that_no_double_holds_are_refused(upstream: Upstream, start: Starter) -> None:
    gateway = start(upstream.url)
    for path in ("/v1/chat/completions", "/v1/messages"):
        for field in FIELDS:
            for number in NUMBERS:
                messages = json.dumps(CHAT["messages"])
                raw = f'{{"model": "m", "{field}": {number}, "messages": {messages}}}'
                status, _, body = gateway.ask(None, raw=raw.encode(), path=path, method="POST")
                assert status == 400, (path, field, number[:9], body[:99])
    assert upstream.seen == []


def test_promtool_finds_nothing_to_say(upstream: Upstream, start: Starter) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed")
    gateway = start(upstream.url, "--workers", "2")
    admin = start.key("ops", "--role", "admin")
    time.sleep(1)
    gateway.ask(STREAM)
    text = gateway.ask(None, path="/metrics", key=admin)[2]
    argv = [promtool, "check", "metrics"]
    done = subprocess.run(argv, input=text, capture_output=True, check=False)
    assert done.returncode in (0, 3), done.stderr  # 3: only of style
