"""Personal data stays where the file says, on every path, whatever fails.

tests/unit/serve/test_privacy_paths.py has the same as a property, over generated files.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.gateway import Gateway, Starter, Upstream

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

CARD = "My card is 4111 1111 1111 1111, why was it refused?"
FILE = """
upstreams:
  near: {{url: '{near}'}}
  far: {{url: '{far}'}}
retries: {{most: 1}}
cache: {{semantic: {{model: public, threshold: 0.5}}, stale: true}}
models:
  public: {{pool: [far]}}
  fallback: {{pool: [far], rules: [{{private: true, use: [near]}}], fallback: [public]}}
  canary:
    pool: [far]
    rules: [{{private: true, use: [near]}}]
    canary: {{use: [{{upstream: far, model: new}}], steps: [100]}}
  shadow:
    pool: [far]
    rules: [{{private: true, use: [near]}}]
    shadow: {{use: [far], share: 1.0}}
  hybrid: {{pool: [far], rules: [{{private: true, use: [near]}}], hybrid: {{small: public}}}}
  hedged: {{pool: [far], rules: [{{private: true, use: [near]}}], hedge_after_s: 0.05}}
  late:
    pool: [far]
    rules: [{{longer_than: 1, use: [far]}}, {{private: true, use: [near]}}]
  colours:
    colours: {{blue: [far], green: [near]}}
    live: blue
    rules: [{{private: true, use: [near]}}]
  adapted:
    pool: [far]
    adapters: [lora]
    rules: [{{private: true, use: [near]}}]
    fallback: [public]
"""
MODELS = ("fallback", "canary", "shadow", "hybrid", "hedged", "late", "colours", "adapted", "lora")
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUFBQQ=="}}


def bodies(model: str) -> list[tuple[str, dict[str, Any]]]:
    chat = "/v1/chat/completions"
    said = {"role": "user", "content": CARD}
    system = {"role": "system", "content": CARD}
    hello = {"role": "user", "content": "Hello"}
    return [
        (chat, {"model": model, "messages": [said]}),
        (chat, {"model": model, "messages": [said], "stream": True}),
        (chat, {"model": model, "messages": [system, hello]}),
        (chat, {"model": model, "messages": [{"role": "user", "content": [IMAGE]}]}),
        (chat, {"model": model, "messages": [hello], "user": "bob@example.com"}),
        ("/v1/completions", {"model": model, "prompt": [1, 2, 3]}),
        ("/v1/embeddings", {"model": model, "input": CARD}),
        ("/v1/messages", {"model": model, "max_tokens": 9, "system": CARD, "messages": [hello]}),
    ]


def ready(gateway: Gateway) -> None:
    for _ in range(100):
        if gateway.ask(None, path="/ready")[0] == 200:
            return
        time.sleep(0.05)
    raise AssertionError("never ready")


def test_private_prompts_stay_near_whatever_fails(
    upstreams: Callable[[int], list[Upstream]], start: Starter
) -> None:
    near, far = upstreams(2)
    gateway = start.config(FILE.format(near=near.url, far=far.url))
    ready(gateway)
    for model in MODELS:
        for path, body in bodies(model):
            status = gateway.ask(body, path=path)[0]
            assert status in (200, 502), (model, path)
    assert near.seen
    assert far.seen == []
    near.mode = "500"
    for model in MODELS:
        for path, body in bodies(model):
            status, _, answer = gateway.ask(body, path=path)
            assert status in (500, 502, 503), (model, path, answer)
    time.sleep(0.5)
    assert far.seen == [], "what fails near is asked nowhere else"
    hello = {"model": "fallback", "messages": [{"role": "user", "content": "Hello"}]}
    status, _, answer = gateway.ask(hello)
    assert status == 200, "what is nobody's goes on"
    assert json.loads(answer)["choices"]
    assert far.seen
