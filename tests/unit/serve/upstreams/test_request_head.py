"""Where a request goes at an origin, whatever its address and the file add to it."""

from __future__ import annotations

import pytest

from llmops_cli.gateway_file.credentials import Credentials
from llmops_cli.serve.upstreams.request_head import RequestHead


@pytest.mark.parametrize(
    ("base", "query", "path", "target"),
    [
        ("", "", "/v1/messages", "/v1/messages"),
        ("/v1", "", "/v1/messages", "/v1/messages"),
        ("/proxy/v1", "a=1", "/v1/messages", "/proxy/v1/messages?a=1"),
        ("", "", "/v1/models?limit=9", "/v1/models?limit=9"),
        ("/v1", "a=1", "/v1/models?limit=9", "/v1/models?limit=9&a=1"),
    ],
)
def test_a_target_has_one_query(base: str, query: str, path: str, target: str) -> None:
    head = RequestHead(f"http://127.0.0.1:9{base}", Credentials({}, query, ()))
    sent = head.request("GET", path, b"", [], model="")
    assert sent.split(b" ")[1].decode() == target
