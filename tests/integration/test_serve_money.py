"""What requests cost: prices that are missing, limits that hold, clients that leave."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from llmops_cli.cli.app import command_line
from llmops_cli.core.errors import UsageError
from tests.gateway import CHAT, USAGE, Gateway, Starter, Upstream

TOLD = (USAGE["prompt_tokens"], USAGE["completion_tokens"])

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

FREE = """\
upstreams:
  paid: {{url: '{url}', price: {{input: 1000, output: 1000}}}}
  free: {{url: '{url}'}}
models:
  m: {{pool: [paid]}}
  other: {{pool: [paid], fallback: [open]}}
  open: {{pool: [free]}}
{more}"""


def run(start: Starter, *args: str, **env: str) -> Result:
    state = {"LLMOPS_STATE_DIR": str(start.state), "COLUMNS": "200", **env}
    return CliRunner().invoke(command_line(()), list(args), env=state)


def refusal(done: Result) -> str:
    assert isinstance(done.exception, UsageError) or done.exit_code == UsageError.exit_code
    message = getattr(done.exception, "message", "")
    return str(message or done.output)


def code_of(body: bytes) -> str:
    return str(json.loads(body)["error"]["code"])


def test_a_budget_in_dollars_needs_prices(
    upstream: Upstream, start: Starter, tmp_path: Path
) -> None:
    """At `keys create`, at `serve --check`, and in the answer: nothing is silently free."""
    file = tmp_path / "priced.yaml"
    file.write_text(FREE.format(url=upstream.url, more=""))
    create = ("keys", "create", "--budget-dollars", "5", "--name")
    said = refusal(run(start, *create, "all", "--config", str(file)))
    assert "priced.yaml:3" in said
    assert "budget in dollars" in said
    assert "no price" in said
    known = {"LLMOPS_SERVE_CONFIG": str(file)}
    assert "no price" in refusal(run(start, *create, "fell", "--models", "other", **known))
    assert run(start, *create, "some", "--models", "m", "--config", str(file)).exit_code == 0
    done = run(start, *create, "blind", "--json")
    assert "403" in done.output
    key = json.loads(done.stdout)["key"]
    said = refusal(run(start, "serve", "--config", str(file), "--check"))
    assert "key blind has a budget in dollars, and model other has no price here" in said
    gateway = start.config(file.read_text())
    assert gateway.ask(CHAT, key=key)[0] == 200
    status, _, body = gateway.ask({**CHAT, "model": "open"}, key=key)
    assert (status, code_of(body)) == (403, "no_price")
    assert "free" in json.loads(body)["error"]["message"]
    assert gateway.ask({**CHAT, "model": "open"})[0] == 200, "without a budget it is free"


def leave(
    gateway: Gateway,
    key: str,
    after_s: float,
    **more: Any,  # Any: fields of the body
) -> None:
    body = json.dumps({**CHAT, **more}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
    with socket.create_connection(("127.0.0.1", int(gateway.url.rpartition(":")[2]))) as client:
        client.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        time.sleep(after_s)
    time.sleep(0.3)


def last(gateway: Gateway) -> dict[str, Any]:
    """The newest line of the log, which is written once an answer is there."""
    time.sleep(0.2)
    return gateway.audit()[-1]


def test_who_leaves_pays_for_what_was_worked_on(upstream: Upstream, start: Starter) -> None:
    """Before an answer the prompt, within one what had come; a deadline of one's own is no other
    way to leave. What an upstream broke is nobody's.
    """
    key = start.key("poor", "--budget-dollars", "100", "--models", "m")
    gateway = start.config(FREE.format(url=upstream.url, more="retries: {most: 0}"))
    prompt = {"messages": [{"role": "user", "content": "word " * 400}]}
    upstream.delay_s = 3.0
    leave(gateway, key, 0.5, **prompt)
    assert last(gateway)["status"] == 499
    assert 400 <= last(gateway)["input_tokens"] <= 700
    assert last(gateway)["dollars"] == pytest.approx(last(gateway)["input_tokens"] / 1000)
    deadline = {"X-LLMOPS-Timeout-Ms": "400"}
    status, _, _ = gateway.ask({**CHAT, **prompt}, key=key, headers=deadline)
    assert status in (408, 503, 504)
    assert 400 <= last(gateway)["input_tokens"] <= 700
    upstream.delay_s = 0.05
    upstream.words = ["w"] * 200
    leave(gateway, key, 0.8, stream=True, max_tokens=200, **prompt)
    assert 400 <= last(gateway)["input_tokens"] <= 700
    assert 5 <= last(gateway)["output_tokens"] <= 25
    upstream.mode = "500"
    assert gateway.ask({**CHAT, **prompt}, key=key)[0] >= 500
    assert not last(gateway)["dollars"]


def test_both_copies_of_a_hedge_are_paid(upstream: Upstream, start: Starter) -> None:
    """Two upstreams work on it and both bill: the slower one for the prompt at least, and what is
    reserved is as much as both may cost.
    """
    rival = Upstream()
    file = f"""\
upstreams:
  slow: {{url: '{upstream.url}', price: {{input: 1000, output: 1000}}}}
  quick: {{url: '{rival.url}', price: {{input: 1000, output: 1000}}}}
models:
  m: {{pool: [slow, quick], hedge_after_s: 0.1}}
  alone: {{pool: [slow, quick]}}
"""
    rich = start.key("rich", "--budget-dollars", "100")
    poor = start.key("poor", "--budget-dollars", "4")
    gateway = start.config(file)
    prompt = {"messages": [{"role": "user", "content": "word " * 400}], "max_tokens": 8}
    assert gateway.ask({**CHAT, **prompt, "model": "alone"}, key=poor)[0] == 200
    status, _, body = gateway.ask({**CHAT, **prompt}, key=poor)
    assert (status, code_of(body)) == (429, "insufficient_quota"), "two copies do not fit"
    upstream.delay_s = rival.delay_s = 0.6
    assert gateway.ask({**CHAT, **prompt}, key=rich)[0] == 200
    assert len(upstream.seen) + len(rival.seen) == 3
    rival.close()
    paid = last(gateway)["input_tokens"] - USAGE["prompt_tokens"]
    assert 400 <= paid <= 700
    assert last(gateway)["dollars"] == pytest.approx((paid + sum(TOLD)) / 1000)


def test_answers_of_a_request_are_limited_together(upstream: Upstream, start: Starter) -> None:
    gateway = start.config(
        FREE.format(url=upstream.url, more="limits: {answer_tokens: 100, prompt_tokens: 50}")
    )
    assert gateway.ask({**CHAT, "max_tokens": 100})[0] == 200
    assert gateway.ask({**CHAT, "max_tokens": 100, "n": 2})[0] == 400
    status, headers, _ = gateway.ask({**CHAT, "n": 2})
    assert (status, headers["x-llmops-bound"]) == (200, "max_tokens=50")
    assert upstream.seen[-1]["max_tokens"] == 50
    many = {"model": "m", "prompt": ["a"] * 5, "max_tokens": 30}
    assert gateway.ask(many, path="/v1/completions")[0] == 400
    tools = [{"type": "function", "function": {"name": "f", "description": "d " * 300}}]
    status, _, body = gateway.ask({**CHAT, "tools": tools})
    assert (status, code_of(body)) == (400, "context_length_exceeded")


def test_a_bound_is_sent_where_tokens_count_and_as_the_model_wants_it(
    upstream: Upstream, start: Starter
) -> None:
    rated = start.key("rated", "--tokens-per-minute", "100000")
    gateway = start.config(
        f"upstreams: {{one: {{url: '{upstream.url}'}}}}\n"
        "models: {m: {pool: [one], unsaid_answer_tokens: 70, bound: max_completion_tokens}}\n"
    )
    body = {**CHAT, "max_tokens": None}
    status, headers, _ = gateway.ask(body, key=rated)
    assert (status, headers["x-llmops-bound"]) == (200, "max_completion_tokens=70")
    assert upstream.seen[-1] == {**CHAT, "max_completion_tokens": 70}
    _, headers, _ = gateway.ask(body)
    assert "x-llmops-bound" not in headers
    assert upstream.seen[-1] == body, "where nothing counts a body goes as it is"
    for wrong in ({"max_tokens": 5, "max_completion_tokens": 6}, {"max_tokens": -1}):
        assert gateway.ask({**CHAT, **wrong})[0] == 400


def test_what_has_no_bound_is_refused_to_a_budget(upstream: Upstream, start: Starter) -> None:
    key = start.key("poor", "--budget-tokens", "1000000")
    text = "upstreams: {{one: {{url: '{}'}}}}\nmodels: {{m: {{pool: [one]{}}}}}\n"
    gateway = start.config(text.format(upstream.url, ""))
    audio = {"type": "input_audio", "input_audio": {"data": "AAAA" * 20, "format": "wav"}}
    stored = {"model": "m", "input": "x", "previous_response_id": "r"}
    search = {"model": "m", "input": "x", "tools": [{"type": "web_search"}]}
    hear = {**CHAT, "messages": [{"role": "user", "content": [audio]}]}
    asked = [("/v1/responses", stored), ("/v1/responses", search), ("/v1/chat/completions", hear)]
    for path, body in asked:
        status, _, said = gateway.ask(body, path=path, key=key)
        assert (status, code_of(said)) == (400, "unbounded")
        assert gateway.ask(body, path=path)[0] == 200, "without a budget it goes"
    bounded = start.config(text.format(upstream.url, ", context: 5000"))
    assert bounded.ask(stored, path="/v1/responses", key=key)[0] == 200
    assert bounded.ask(hear, key=key)[0] == 200
    calls = {**search, "max_tool_calls": 3}
    assert bounded.ask(calls, path="/v1/responses", key=key)[0] == 200
    background = {"model": "m", "input": "x", "background": True}
    assert bounded.ask(background, path="/v1/responses", key=key)[0] == 400


def test_what_is_passed_on_has_a_bound_too(upstream: Upstream, start: Starter) -> None:
    """A reranker reads the question with each document; what a sound costs nobody can tell."""
    text = "endpoints: [rerank, audio]\nupstreams: {{one: {{url: '{}'}}}}\nmodels: {{m: {}}}\n"
    gateway = start.config(text.format(upstream.url, "{pool: [one]}"))
    key = start.key("poor", "--budget-tokens", "20000")
    rerank = {"model": "m", "query": "q" * 500, "documents": ["d"] * 10}
    assert gateway.ask(rerank, path="/v1/rerank", key=key)[0] == 200
    many = {"content": [{"type": "text", "text": "d"}] * 60}  # vLLM's form: a document a part
    for documents in (["d"] * 60, many):
        asked = {**rerank, "documents": documents}
        status, _, said = gateway.ask(asked, path="/v1/rerank", key=key)
        assert (status, code_of(said)) == (429, "insufficient_quota")
    speech = {"model": "m", "input": "x", "voice": "alloy"}
    status, _, said = gateway.ask(speech, path="/v1/audio/speech", key=key)
    assert (status, code_of(said)) == (400, "unbounded")


def test_numbers_of_an_upstream_may_be_anything(upstream: Upstream, start: Starter) -> None:
    """Its answer passes; what is counted is a number of tokens."""
    key = start.key("poor", "--budget-dollars", "100", "--models", "m")
    gateway = start.config(FREE.format(url=upstream.url, more=""))
    before = dict(USAGE)
    odd: list[dict[str, Any]] = [
        {"prompt_tokens": -5, "completion_tokens": -1},
        {"prompt_tokens": 10**40, "completion_tokens": 1e300},
        {"prompt_tokens": None, "completion_tokens": "x"},
        {"prompt_tokens": 0, "completion_tokens": 0},
    ]
    try:
        for usage in odd:
            USAGE.clear()
            USAGE.update(usage)
            for more in ({}, {"stream": True}):
                assert gateway.ask({**CHAT, **more}, key=key)[0] == 200
                told_zero = usage["prompt_tokens"] == 0
                assert (not last(gateway)["dollars"]) == told_zero
                assert last(gateway)["dollars"] < 0.2
    finally:
        USAGE.clear()
        USAGE.update(before)


def test_sound_is_reserved_and_settled_at_its_own_price(upstream: Upstream, start: Starter) -> None:
    before = dict(USAGE)
    gateway = start.config(
        f"upstreams: {{one: {{url: '{upstream.url}', price: {{input: 10, output: 10,"
        " audio_input: 1000, audio_output: 2000}}}\nmodels: {m: {pool: [one]}}\n"
    )
    key = start.key("few", "--budget-dollars", "1")
    spoken = {**CHAT, "modalities": ["text", "audio"], "max_tokens": 500}
    asked = {**spoken, "audio": {"voice": "alloy", "format": "wav"}}
    USAGE.update(
        {
            "prompt_tokens": 100,
            "completion_tokens": 400,
            "prompt_tokens_details": {"audio_tokens": 60},
            "completion_tokens_details": {"audio_tokens": 390},
        }
    )
    try:
        status, _, body = gateway.ask(asked, key=key)
        assert status == 429, "its 500 tokens may cost a dollar, and its prompt costs too"
        assert b"insufficient_quota" in body
        assert gateway.ask({**asked, "max_tokens": 400}, key=key)[0] == 200
    finally:
        USAGE.clear()
        USAGE.update(before)
    entry = last(gateway)
    assert (entry["audio_input_tokens"], entry["audio_output_tokens"]) == (60, 390)
    assert entry["dollars"] == pytest.approx(0.0004 + 0.06 + 0.0001 + 0.78)


def test_cached_written_and_reasoning_tokens_stand_in_the_audit_and_the_metrics(
    upstream: Upstream, start: Starter
) -> None:
    before = dict(USAGE)
    gateway = start.config(
        f"upstreams: {{one: {{url: '{upstream.url}', price: {{input: 1000, output: 1000,"
        " cached_input: 100, cache_write: 1250, reasoning: 2000}}}\nmodels: {m: {pool: [one]}}\n"
    )
    admin = start.key("ops", "--role", "admin")
    USAGE.update(
        {
            "prompt_tokens": 100,
            "completion_tokens": 50,
            "prompt_tokens_details": {"cached_tokens": 80, "cache_write_tokens": 12},
            "completion_tokens_details": {"reasoning_tokens": 40},
        }
    )
    try:
        assert gateway.ask(CHAT)[0] == 200
    finally:
        USAGE.clear()
        USAGE.update(before)
    entry = last(gateway)
    assert (entry["cached_tokens"], entry["reasoning_tokens"]) == (80, 40)
    assert entry["cache_write_tokens"] == 12
    assert entry["dollars"] == pytest.approx(0.008 + 0.008 + 0.015 + 0.01 + 0.08)
    metrics = gateway.ask(None, path="/metrics", key=admin)[2].decode()
    found = [line for line in metrics.splitlines() if "token_parts_total{" in line]
    assert sorted(line.rpartition(" ")[2] for line in found) == ["12.0", "40.0", "80.0"]
