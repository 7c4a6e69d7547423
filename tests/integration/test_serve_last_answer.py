"""A text of the file in the place of a 502."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.gateway import Starter, Upstream

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

SORRY = "We are closed for a moment. Ask again soon."


def chat(**more: Any) -> dict[str, Any]:
    return {"model": "a", "messages": [{"role": "user", "content": "Hi"}], **more}


def streamed(body: bytes) -> str:
    lines = [line.removeprefix("data: ") for line in body.decode().split("\n\n")]
    events = [json.loads(line) for line in lines if line.startswith("{")]
    return "".join(
        choice["delta"].get("content", "") for event in events for choice in event["choices"]
    )


def test_who_is_answered_by_nobody_gets_it_in_each_form(upstream: Upstream, start: Starter) -> None:
    gateway = start.config(
        f"upstreams: {{x: {{url: '{upstream.url}'}}}}\n"
        f"models: {{a: {{pool: [{{upstream: x, model: m}}], last_answer: '{SORRY}'}}}}\n"
        "retries: {most: 0}\n"
    )
    status, headers, body = gateway.ask(chat())
    assert status == 200
    assert "x-llmops-last-answer" not in headers
    upstream.mode = "500"
    status, headers, body = gateway.ask(chat(n=2))
    assert (status, headers["x-llmops-last-answer"]) == (200, "true")
    said = json.loads(body)
    assert [each["message"]["content"] for each in said["choices"]] == [SORRY] * 2
    assert said["model"] == "a"
    assert said["usage"]["total_tokens"] == 0
    status, _, body = gateway.ask(chat(stream=True))
    assert status == 200
    assert streamed(body) == SORRY
    assert b"[DONE]" in body
    anthropic = chat(max_tokens=9)
    status, _, body = gateway.ask(anthropic, path="/v1/messages")
    assert status == 200
    assert json.loads(body)["content"][0]["text"] == SORRY
    assert gateway.ask(chat(response_format={"type": "json_object"}))[0] >= 500
    assert gateway.ask({"model": "a", "prompt": "Hi"}, path="/v1/completions")[0] >= 500
    line = gateway.audit()[1]
    assert line["status"] == 200
    assert line["error"]
    key = start.key("metrics", "--role", "metrics")
    text = gateway.ask(None, path="/metrics", key=key)[2].decode()
    assert 'fallbacks_total{model="a",to="last_answer"} 3.0' in text
