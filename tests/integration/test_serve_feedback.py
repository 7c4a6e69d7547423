"""Users' ratings: who may give one, what is kept of it, and what reads them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import CliRunner

from llmops_cli.cli.app import command_line
from tests.gateway import CHAT, Gateway, Starter, Upstream

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

PATH = "/v1/feedback"
FILE = "upstreams: {{x: {{url: '{url}'}}}}\nmodels: {{m: {{pool: [x]}}}}\n"
CARD = "4111 1111 1111 1111"


def answered(gateway: Gateway) -> str:
    status, headers, _ = gateway.ask(CHAT)
    assert status == 200
    return headers["x-request-id"]


def rated(gateway: Gateway, body: object, key: str | None = None) -> tuple[int, dict[str, Any]]:
    status, _, raw = gateway.ask(body, path=PATH, key=key)
    return status, json.loads(raw)


def test_who_asked_or_an_admin_rates_and_nobody_else(upstream: Upstream, start: Starter) -> None:
    gateway = start.config(FILE.format(url=upstream.url) + "feedback: {}\n", "--workers", "2")
    admin = start.key("admin", "--role", "admin")
    other = start.key("other")
    request = answered(gateway)
    mine = {"request": request, "score": True, "labels": ["helpful"], "text": f"It has {CARD}."}
    assert rated(gateway, mine) == (200, {"request": request, "object": "feedback"})
    assert rated(gateway, {"request": request, "score": 0.25}, key=admin)[0] == 200
    assert rated(gateway, mine, key=other)[0] == 404
    assert rated(gateway, {"request": "0" * 16, "score": 1})[0] == 404
    told = [rated(gateway, {"request": request, "score": 0})[0] for _ in range(5)]
    assert told == [200, 200, 200, 409, 409]

    lines = (gateway.state / "feedback.jsonl").read_text().splitlines()
    first, second = (json.loads(line) for line in lines[:2])
    assert (first["score"], first["labels"], first["model"]) == (1.0, ["helpful"], "m")
    assert CARD not in first["text"]
    assert "by" not in first
    assert second["by"]
    assert len(lines) == 5
    audit = [line for line in gateway.audit() if line["route"] == PATH]
    assert (audit[0]["rates"], audit[0]["score"], audit[0]["status"]) == (request, 1.0, 200)
    metrics = gateway.ask(None, path="/metrics", key=admin)[2].decode()
    assert 'feedback_total{model="m",prompt="",verdict="good"} 1.0' in metrics
    assert 'feedback_total{model="m",prompt="",verdict="bad"} 4.0' in metrics
    assert 'feedback_labels_total{label="helpful"} 1.0' in metrics

    argv = ["report", "compare", str(gateway.state / "feedback.jsonl"), "--by", "model", "--json"]
    found = CliRunner().invoke(command_line(()), argv)
    assert json.loads(found.stdout)["sides"][0]["name"] == "m"


@pytest.mark.parametrize(
    "body",
    [
        {"score": 1},
        {"request": "0" * 16},
        {"request": 7, "score": 1},
        {"request": "0" * 16, "labels": ["fine\n"]},
        {"request": "0" * 16, "score": 7},
        {"request": "0" * 16, "score": 1, "stars": 5},
        {"request": "0" * 16, "labels": ["x"] * 9},
        {"request": "0" * 16, "labels": ["<script>"]},
        {"request": "0" * 16, "text": "x" * 2001},
        [],
    ],
)
def test_what_is_no_rating_is_refused(open_gateway: Gateway, body: object) -> None:
    assert rated(open_gateway, body)[0] == 400


@pytest.mark.parametrize("request_id", ["x", "0" * 16, "0" * 16 + "\n", ""])
def test_a_request_that_nobody_knows_is_not_found(open_gateway: Gateway, request_id: str) -> None:
    assert rated(open_gateway, {"request": request_id, "score": 1})[0] == 404


@pytest.fixture(scope="module")
def open_gateway(tmp_path_factory: pytest.TempPathFactory) -> Any:
    upstream = Upstream()
    start = Starter(tmp_path_factory.mktemp("feedback"))
    yield start.config(FILE.format(url=upstream.url) + "feedback: {}\nkeys_required: false\n")
    start.stop()
    upstream.close()


def test_a_large_body_and_a_gateway_without_it(open_gateway: Gateway, start: Starter) -> None:
    body = {"request": "0" * 16, "text": "x" * 40_000}
    assert rated(open_gateway, body)[0] == 413
    assert open_gateway.ask(None, path=PATH, method="GET")[0] == 405
    without = start.config(FILE.format(url="http://127.0.0.1:9/v1"))
    status, said = rated(without, {"request": "0" * 16, "score": 1})
    assert status == 404
    assert "feedback: {}" in said["error"]["message"]


def test_only_an_answer_that_a_model_gave_can_be_rated(upstream: Upstream, start: Starter) -> None:
    (start.folder / "policy.yaml").write_text(
        "output:\n  blocklist: {action: block, words: [Hello there]}\n"
        "input:\n  blocklist: {action: block, words: [Project Falcon]}\n"
    )
    text = FILE.format(url=upstream.url)
    gateway = start.config(text + "feedback: {}\nguard: policy.yaml\n")
    poor = start.key("poor", "--budget-tokens", "1")

    def ratable(body: object, *, key: str | None = None) -> tuple[int, int]:
        """The status of the answer, and of its rating."""
        status, headers, _ = gateway.ask(body, key=key)
        rating = {"request": headers["x-request-id"], "score": 1}
        return status, rated(gateway, rating, key=key)[0]

    stream = {**CHAT, "stream": True}
    assert ratable(CHAT) == (200, 404), "the guard stopped the answer"
    assert ratable(stream) == (200, 404)
    falcon = [{"role": "user", "content": "Tell me of Project Falcon"}]
    assert ratable({**CHAT, "messages": falcon}) == (400, 404), "the guard stopped the question"
    assert ratable(CHAT, key=poor) == (429, 404), "the budget is spent"
    upstream.words = ["Good", " day", "."]
    assert ratable(CHAT) == (200, 200)
    assert ratable(stream) == (200, 200)
    upstream.mode = "500"
    status, rating = ratable(CHAT)
    assert status >= 500
    assert rating == 404
    status, rating = ratable(stream)
    assert rating == 404
    line = json.loads((gateway.state / "feedback.jsonl").read_text().splitlines()[0])
    assert (line["upstream"], line["side"]) == ("x", "stable")
    argv = ["report", "compare", str(gateway.state / "feedback.jsonl"), "--by", "side", "--json"]
    found = CliRunner().invoke(command_line(()), argv)
    assert json.loads(found.stdout)["sides"][0]["name"] == "stable"


def test_an_answer_is_rated_by_who_gave_it(
    upstreams: Callable[[int], list[Upstream]], start: Starter
) -> None:
    """A small model's counts as an answer; a kept one is nobody's, whoever failed before it."""
    small, large = upstreams(2)
    gateway = start.config(
        f"upstreams: {{small: {{url: '{small.url}'}}, large: {{url: '{large.url}'}}}}\n"
        "models:\n"
        "  tiny: {pool: [small]}\n"
        "  m: {pool: [large], hybrid: {small: tiny, sure: 0.8}}\n"
        "  kept: {pool: [large], cache: {ttl_s: 0.2, stale: true}}\n"
        "feedback: {}\n"
    )
    assert rated(gateway, {"request": answered(gateway), "score": 1})[0] == 200
    kept = {**CHAT, "model": "kept"}
    assert gateway.ask(kept)[0] == 200
    large.mode = "500"
    time.sleep(0.3)
    _, headers, _ = gateway.ask(kept)
    assert headers["x-llmops-cache"] == "stale"
    assert rated(gateway, {"request": headers["x-request-id"], "score": 0})[0] == 200
    lines = (gateway.state / "feedback.jsonl").read_text().splitlines()
    first, second = map(json.loads, lines)
    assert first["upstream"] == "small"
    assert not second.get("upstream")
    assert not second.get("side")
