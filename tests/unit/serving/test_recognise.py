"""Servers are recognised by what they say of themselves; unknown ones are left unnamed."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from llmops_cli.runtime.http import Http
from llmops_cli.serving.recognise import recognise


@contextmanager
def serving(pages: dict[str, Any]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = pages.get(self.path)
            raw = json.dumps(page).encode()
            self.send_response(200 if page is not None else 404)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def models(owner: str) -> dict[str, Any]:
    return {"data": [{"id": "m", "owned_by": owner}]}


@pytest.mark.parametrize(
    ("pages", "name"),
    [
        ({"/v1/models": models("vllm"), "/version": {"version": "0.32.0"}}, "vLLM 0.32.0"),
        ({"/v1/models": models("sglang"), "/get_server_info": {"version": "0.5"}}, "SGLang 0.5"),
        ({"/v1/models": models("llamacpp"), "/props": {"build_info": "b4000"}}, "llama.cpp b4000"),
        ({"/v1/models": models("library"), "/api/version": {"version": "0.9"}}, "Ollama 0.9"),
        ({"/v1/models": models("llmops")}, "llmops"),
        (
            {
                "/v1/models": models("HuggingFaceTB/x"),
                "/info": {"router": "text-generation-router", "version": "3.1"},
            },
            "TGI 3.1",
        ),
        ({"/v1/models": models("someone")}, None),
        ({"/v1/models": ["odd"]}, None),
        ({}, None),
    ],
)
def test_servers_by_their_own_words(pages: dict[str, Any], name: str | None) -> None:
    with serving(pages) as url:
        assert recognise(Http(), url) == name
