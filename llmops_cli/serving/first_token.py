"""The first token that a new server says, before anything else was asked of it."""

from __future__ import annotations

import time

from llmops_cli.runtime.http import Http
from llmops_cli.serving.start import RunningServer

PROMPT = "Hello"
TIMEOUT_S = 300.0


def first_token_s(server: RunningServer, http: Http) -> float | None:
    """None for a server that we did not start or that computes nothing, and where it gives none."""
    if server.startup is None or server.facts.environment is None:
        return None
    body: dict[str, object] = {
        "model": server.model,
        "prompt": PROMPT,
        "max_tokens": 1,
        "temperature": 0,
        **server.facts.bench_body,
    }
    start_s = time.monotonic()
    answer = http.post_json(f"{server.url}/v1/completions", body, timeout_s=TIMEOUT_S)
    if answer is None:
        return None
    return time.monotonic() - start_s
