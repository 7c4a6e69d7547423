"""A config.json by URL: a small JSON object from the named host, whatever answers there."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from llmops_cli.core.errors import UsageError
from llmops_cli.models.remote_config import MOST_BYTES, read_remote_config
from llmops_cli.plan.models import read_load
from llmops_cli.sizing.public_models import config_named

CONFIG = dict(config_named("qwen3-8b"))
BODIES = {
    "/config.json": json.dumps(CONFIG).encode(),
    "/list.json": b"[1, 2]",
    "/page.json": b"<html>not found</html>",
    "/deep.json": b"[" * 100_000,
    "/bytes.json": b"\xff\xfe{}",
    "/empty.json": b"",
    "/long.json": b" " * (MOST_BYTES + 1),
}


class Handler(BaseHTTPRequestHandler):
    """Whole files, as `python -m http.server` gives them."""

    def log_message(self, *_: object) -> None:
        return

    def do_GET(self) -> None:
        if self.path == "/away.json":
            self.send_response(302)
            self.send_header("Location", "http://192.0.2.1/config.json")
            self.end_headers()
            return
        body = BODIES.get(self.path)
        if body is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_plan_reads_it_as_the_same_file_here(address: str) -> None:
    there = read_load(f"{address}/config.json", scheme="FP8", cache_type="F16")
    named = read_load("qwen3-8b", scheme="FP8", cache_type="F16")
    assert there.parameters == named.parameters
    assert there.cache_bytes(1000) == named.cache_bytes(1000)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/list.json", "not JSON"),
        ("/page.json", "not JSON"),
        ("/deep.json", "not JSON"),
        ("/bytes.json", "not JSON"),
        ("/empty.json", "not JSON"),
        ("/long.json", "longer than 1,024 KiB"),
        ("/none.json", "answers 404"),
        ("/away.json", "redirects to another host"),
    ],
)
def test_what_is_none_is_one_line(address: str, path: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read_remote_config(f"{address}{path}")


def test_a_key_in_the_address_is_refused() -> None:
    with pytest.raises(UsageError):
        read_remote_config("http://user:secret@127.0.0.1/config.json")
