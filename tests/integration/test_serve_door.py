"""What clients, browsers and proxies bring to the door: headers, methods, packed bodies."""

from __future__ import annotations

import concurrent.futures
import gzip
import http.client
import json
import socket
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable
from contextlib import ExitStack, closing

import pytest
import zstandard

from tests.gateway import CHAT, Gateway, Starter, Upstream

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

ORIGIN = "https://chat.example.org"
PLAIN = json.dumps(CHAT).encode()


def send(
    gateway: Gateway,
    method: str,
    path: str,
    headers: dict[str, str],
    data: bytes | None = None,
) -> tuple[int, dict[str, str], bytes]:
    """Nothing but these headers: no key either."""
    request = urllib.request.Request(f"{gateway.url}{path}", data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as reply:
            found = {name.lower(): value for name, value in reply.headers.items()}
            return reply.status, found, reply.read()
    except urllib.error.HTTPError as error:
        with error:
            found = {name.lower(): value for name, value in error.headers.items()}
            return error.code, found, error.read()


KEYS = [
    ({"api-key": "KEY"}, 200),
    ({"X-API-Key": "KEY"}, 200),
    ({"Authorization": "Basic dXNlcjpwYXNz", "api-key": "KEY"}, 200),
    ({"Authorization": "Basic dXNlcjpwYXNz", "X-API-Key": "KEY"}, 200),
    ({"Authorization": "bearer KEY"}, 200),
    ({"Authorization": "Basic dXNlcjpwYXNz"}, 401),
    ({"Authorization": "Bearer wrong", "api-key": "KEY"}, 401),
    ({"api-key": "wrong"}, 401),
    ({"api-key": ""}, 401),
]


def test_the_key_may_stand_in_any_clients_header(upstream: Upstream, start: Starter) -> None:
    gateway = start(upstream.url)
    for headers, status in KEYS:
        given = {name: value.replace("KEY", gateway.key) for name, value in headers.items()}
        given["Content-Type"] = "application/json"
        assert send(gateway, "POST", "/v1/chat/completions", given, PLAIN)[0] == status, headers


@pytest.mark.parametrize("protocol", ["h2c", "websocket"])
def test_an_offer_of_another_protocol_is_not_taken_up(
    upstream: Upstream, start: Starter, protocol: str
) -> None:
    """Java's client offers h2c with its first request: the body behind it was lost (400)."""
    gateway = start(upstream.url)
    offer = {"Upgrade": protocol, "Connection": "Upgrade, HTTP2-Settings", "HTTP2-Settings": "AAM"}
    text = "Upgrade: this\r\n\r\nUpgrade: and that"
    asked = {**CHAT, "messages": [{"role": "user", "content": text}]}
    link = http.client.HTTPConnection("127.0.0.1", int(gateway.url.rpartition(":")[2]), timeout=20)
    with closing(link):
        for headers in (offer, {}, offer):
            given = {"Authorization": f"Bearer {gateway.key}", **headers}
            link.request("POST", "/v1/chat/completions", json.dumps(asked), given)
            reply = link.getresponse()
            assert (reply.status, bool(reply.read())) == (200, True)
    assert [body["messages"][0]["content"] for body in upstream.seen] == [text] * 3


def test_pages_answer_head(upstream: Upstream, start: Starter) -> None:
    gateway = start(upstream.url)
    key = {"api-key": gateway.key}
    for path in ("/health", "/ready", "/ui", "/openapi.json", "/v1/models"):
        whole = send(gateway, "GET", path, key)
        status, headers, body = send(gateway, "HEAD", path, key)
        assert (status, body) == (200, b""), path
        assert headers["content-length"] == str(len(whole[2]))
        assert headers["content-type"] == whole[1]["content-type"]
    assert send(gateway, "HEAD", "/v1/models", {})[0] == 401
    assert send(gateway, "HEAD", "/none", {})[0] == 404
    status, headers, _ = send(gateway, "HEAD", "/v1/chat/completions", key)
    assert (status, headers["allow"]) == (405, "POST")
    assert send(gateway, "DELETE", "/health", key)[1]["allow"] == "GET, HEAD"


def test_a_browser_asks_first_where_its_origin_is_named(upstream: Upstream, start: Starter) -> None:
    gateway = start.config(
        f"upstreams: {{a: {{url: '{upstream.url}'}}}}\ncors: {{origins: ['{ORIGIN}']}}\n"
    )
    question = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,x-stainless-os",
    }
    status, told, _ = send(gateway, "OPTIONS", "/v1/chat/completions", question)
    assert status == 200
    assert told["access-control-allow-origin"] == ORIGIN
    assert told["access-control-allow-methods"] == "POST"
    assert told["access-control-allow-headers"] == question["Access-Control-Request-Headers"]
    assert "access-control-allow-credentials" not in told
    status, told, _ = gateway.ask(CHAT, headers={"Origin": ORIGIN})
    assert (status, told["access-control-allow-origin"]) == (200, ORIGIN)
    shown = told["access-control-expose-headers"].split(", ")
    for name in ("request-id", "llmops-bound", "llmops-token-count", "llmops-unsent"):
        assert f"x-{name}" in shown
    assert told["vary"] == "origin"
    status, told, _ = gateway.ask(CHAT, key="wrong", headers={"Origin": ORIGIN})
    assert (status, told["access-control-allow-origin"]) == (401, ORIGIN), "a page may read why"
    status, told, _ = gateway.ask({**CHAT, "stream": True}, headers={"Origin": ORIGIN})
    assert (status, told["access-control-allow-origin"]) == (200, ORIGIN)
    for other in ("https://evil.example", f"{ORIGIN}.evil.example", "null"):
        status, told, _ = send(
            gateway, "OPTIONS", "/v1/chat/completions", {**question, "Origin": other}
        )
        assert status == 405
        assert "access-control-allow-origin" not in told
        assert "access-control-allow-origin" not in gateway.ask(CHAT, headers={"Origin": other})[1]


def test_no_origin_may_ask_unless_the_file_says_so(upstream: Upstream, start: Starter) -> None:
    gateway = start(upstream.url)
    asked = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
    status, told, _ = send(gateway, "OPTIONS", "/v1/chat/completions", asked)
    assert status == 405
    assert not [name for name in told if name.startswith("access-control")]


def test_any_origin(upstream: Upstream, start: Starter) -> None:
    gateway = start.config(
        f"upstreams: {{a: {{url: '{upstream.url}'}}}}\ncors: {{origins: ['*']}}\n"
    )
    told = gateway.ask(CHAT, headers={"Origin": "null"})[1]
    assert told["access-control-allow-origin"] == "*"
    assert "access-control-allow-origin" not in gateway.ask(CHAT)[1]


def _bare(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "GZIP": gzip.compress,
    "deflate": zlib.compress,
    "identity, deflate": _bare,
    "zstd": zstandard.compress,
    "identity": bytes,
}


def test_packed_bodies_are_taken(upstream: Upstream, start: Starter) -> None:
    gateway = start(upstream.url)
    for coding, pack in PACKERS.items():
        status, _, said = gateway.ask(
            None, raw=pack(PLAIN), headers={"Content-Encoding": coding}, method="POST"
        )
        assert status == 200, (coding, said)
        assert upstream.seen[-1] == CHAT
        assert "Content-Encoding" not in upstream.headers[-1]


BROKEN = [
    ("br", PLAIN, 415),
    ("gzip, gzip", gzip.compress(gzip.compress(PLAIN, mtime=0), mtime=0), 415),
    ("gzip", PLAIN, 400),
    ("gzip", gzip.compress(PLAIN, mtime=0)[:-9], 400),
    ("gzip", gzip.compress(b"", mtime=0) * 1000, 400),
    ("deflate", zlib.compress(PLAIN) + b"more", 400),
    ("zstd", PLAIN, 400),
    ("zstd", zstandard.compress(PLAIN)[:-9], 400),
    ("zstd", zstandard.compress(b"a") * 1000, 400),
    ("gzip", b"", 400),
]


def test_what_cannot_be_unpacked_is_said(upstream: Upstream, start: Starter) -> None:
    gateway = start(upstream.url)
    for coding, body, status in BROKEN:
        found, headers, said = gateway.ask(
            None, raw=body, headers={"Content-Encoding": coding}, method="POST"
        )
        assert found == status, (coding, said)
        if status == 415:
            assert headers["accept-encoding"] == "gzip, deflate, zstd"
            assert b"gzip, deflate, zstd" in said
    assert gateway.ask(CHAT)[0] == 200


@pytest.mark.quiet
@pytest.mark.parametrize("coding", ["gzip", "deflate", "zstd"])
def test_a_bomb_is_refused_and_nobody_waits(
    coding: str, upstream: Upstream, start: Starter
) -> None:
    """A megabyte that stands for a thousand, and nine of it for nine thousand."""
    import psutil

    gateway = start(upstream.url)
    piece = PACKERS[coding](bytes(1 << 30))
    large = piece * 9 if coding == "gzip" else piece
    asked = {"Content-Encoding": coding}
    before = psutil.Process(gateway.process.pid).memory_info().rss
    waits = []
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        sent = [
            pool.submit(gateway.ask, None, raw=piece, headers=asked, method="POST")
            for _ in range(32)
        ]
        while not all(each.done() for each in sent):
            begin = time.monotonic()
            assert gateway.ask(None, path="/health")[0] == 200
            waits.append(time.monotonic() - begin)
    assert {each.result()[0] for each in sent} == {413}
    assert gateway.ask(None, raw=large, headers=asked, method="POST")[0] == 413
    after = psutil.Process(gateway.process.pid).memory_info().rss
    assert after - before < 250 << 20
    assert sorted(waits)[len(waits) // 2] < 0.05, waits


def test_sockets_that_ask_for_nothing_keep_nobody_out(upstream: Upstream, start: Starter) -> None:
    """They need no key. Who has a request under way stays; who has none makes way, oldest first."""
    limits = "limits: {connections: 20}\n"
    gateway = start.config(f"upstreams: {{a: {{url: '{upstream.url}'}}}}\n{limits}")
    port = int(gateway.url.rpartition(":")[2])
    upstream.prefill_s = 1.0
    with ExitStack() as opened:
        asking = opened.enter_context(closing(http.client.HTTPConnection("127.0.0.1", port)))
        asking.request("POST", "/v1/chat/completions", json.dumps(CHAT), bearer(gateway.key))
        for _ in range(60):
            silent = opened.enter_context(socket.create_connection(("127.0.0.1", port)))
            silent.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n")
        assert gateway.ask(CHAT)[0] == 200
        assert asking.getresponse().status == 200


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
