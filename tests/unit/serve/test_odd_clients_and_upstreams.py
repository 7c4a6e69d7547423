"""Whatever a client asks and an upstream says: a valid answer or a clear error, and never a bug.

All between the door and the origins is real; an exception that is no refusal would be a 500, and
fails here.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import Message, RawMessageStreamEvent
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from llmops_cli.gateway_file.config import GatewayConfig, RetriesConfig
from llmops_cli.gateway_file.upstream import UpstreamConfig
from llmops_cli.serve.accounts.local_budgets import LocalBudgets
from llmops_cli.serve.answers.cache import LocalStore
from llmops_cli.serve.answers.cached import AnswerCache
from llmops_cli.serve.answers.dialects.messages_rules import BLOCKS, REQUEST
from llmops_cli.serve.answers.handler import RequestHandler
from llmops_cli.serve.answers.semantic import Meanings
from llmops_cli.serve.endpoints import CHAT, MESSAGES, Endpoint
from llmops_cli.serve.feedback.book import LocalBook
from llmops_cli.serve.judging.judging import Judging
from llmops_cli.serve.upstreams.breaker import Breaker
from tests.unit.serve.scripted import Answered, Script, ScriptedGateway

EVENTS: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
FINE = (200, 400, 404, 429, 502, 503)
"""What a client may see of an upstream that is never late."""
GARBAGE = (b"", b"[]", b"{}", b"null", b"<html>", b'{"choices":', b"[" * 100_000)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> ScriptedGateway:
    folder: Path = tmp_path_factory.mktemp("odd")
    found = ScriptedGateway(folder)
    found.configure(
        GatewayConfig(
            upstreams={"up": UpstreamConfig(url="http://127.0.0.1:9/v1")},
            retries=RetriesConfig(most=0),
        )
    )
    return found


def asked(
    gateway: ScriptedGateway,
    body: dict[str, Any],
    script: Script,
    endpoint: Endpoint = MESSAGES,
) -> Answered:
    """The upstream has no past: what it did before does not count."""
    assert gateway.snapshot is not None
    for upstream in gateway.snapshot.all():
        upstream.breaker = Breaker()
    gateway.scripts = lambda _: script
    return asyncio.run(gateway.ask(body, endpoint=endpoint))


def check_messages(found: Answered) -> None:
    """Read as Anthropic's client does, or an error in its form."""
    assert found.status in FINE
    if found.status != 200:
        return
    if not found.headers[b"content-type"].startswith(b"text/event-stream"):
        Message.model_validate_json(found.body)
        return
    lines = [line[6:] for line in found.body.splitlines() if line.startswith(b"data: ")]
    events = [json.loads(line) for line in lines]
    if events[-1]["type"] == "error":
        assert events.pop()["error"]["message"]
    snapshot = None
    buffers: dict[int, bytes] = {}
    for event in events:
        parsed = EVENTS.validate_python(event)
        snapshot = accumulate_event(event=parsed, current_snapshot=snapshot, json_bufs=buffers)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
blocks = st.fixed_dictionaries(
    {"type": st.sampled_from([*BLOCKS]) | values},
    optional=dict.fromkeys(("text", "source", "content", "id", "name", "input"), values),
)
messages = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant", "system"]) | values},
        optional={"content": st.text(max_size=5) | st.lists(blocks, max_size=2) | values},
    ),
    max_size=2,
)
bodies = st.fixed_dictionaries(
    {"model": st.just("m"), "max_tokens": st.just(5) | values, "messages": messages | values},
    optional=dict.fromkeys([*REQUEST][3:], values),
)
calls = st.fixed_dictionaries(
    {},
    optional={
        "index": st.integers(0, 2) | values,
        "id": st.sampled_from(["a", "b"]) | values,
        "function": st.fixed_dictionaries(
            {},
            optional={
                "name": st.sampled_from(["f", "g"]) | values,
                "arguments": st.sampled_from(["{", "}", '{"a":1}', "[1]", "no"]) | values,
            },
        )
        | values,
    },
)
said = st.fixed_dictionaries(
    {},
    optional={
        "content": st.text(max_size=5) | values,
        "reasoning_content": st.text(max_size=5) | values,
        "refusal": st.text(max_size=5) | values,
        "tool_calls": st.lists(calls, max_size=3) | values,
        "function_call": values,
        "images": values,
    },
)
reasons = st.sampled_from([None, "stop", "length", "tool_calls", "error"]) | values


@st.composite
def answers(draw: st.DrawFn) -> Script:
    """An upstream's answer that is nearly one."""
    status = draw(st.sampled_from([200] * 6 + [201, 204, 302, 400, 404, 429, 500]))
    if draw(st.integers(0, 9)) == 0:
        return Script(status=status, raw=draw(st.sampled_from(GARBAGE) | st.binary(max_size=40)))
    usage = draw(values)
    if draw(st.booleans()):
        choice = {"message": draw(said | values), "finish_reason": draw(reasons)}
        whole = {"choices": draw(st.just([choice]) | values), "usage": usage}
        return Script(status=status, raw=msgspec.json.encode(whole))
    events = []
    for delta in draw(st.lists(said | values, max_size=4)):
        chunk = {"choices": [{"delta": delta, "finish_reason": None}]}
        events.append(draw(st.just(chunk) | values))
    events.append({"choices": [{"delta": {}, "finish_reason": draw(reasons)}], "usage": usage})
    raw = b"".join(b"data: %b\n\n" % msgspec.json.encode(event) for event in events)
    if draw(st.booleans()):
        raw += b"data: [DONE]\n\n"
    return Script(status=status, raw=raw, kind=b"text/event-stream")


HI = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}]}
FUZZ = settings(
    max_examples=120,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@FUZZ
@given(script=answers(), streams=st.booleans())
@example(script=Script(raw=b"[" * 100_000), streams=True)
@example(script=Script(raw=b"[" * 100_000, status=429), streams=False)
@example(script=Script(raw=b'data: {"choices":3}\n\n', kind=b"text/event-stream"), streams=False)
def test_whatever_an_upstream_says_anthropics_client_can_read_it(
    gateway: ScriptedGateway, script: Script, streams: bool
) -> None:
    check_messages(asked(gateway, {**HI, "stream": streams}, script))


@FUZZ
@given(body=bodies, script=answers())
def test_whatever_is_asked_anthropics_client_can_read_the_answer(
    gateway: ScriptedGateway, body: dict[str, Any], script: Script
) -> None:
    check_messages(asked(gateway, body, script))


@FUZZ
@given(script=answers(), streams=st.booleans(), more=st.dictionaries(st.text(max_size=5), values))
def test_whatever_an_upstream_says_is_no_bug_for_a_chat(
    gateway: ScriptedGateway, script: Script, streams: bool, more: dict[str, Any]
) -> None:
    found = asked(gateway, {**more, **HI, "stream": streams}, script, CHAT)
    own = script.status if script.status in (201, 204, 500) else 502
    assert found.status in (*FINE, own), "an upstream's own status passes"


class FullBook(LocalBook):
    async def remember(self, *_: object) -> None:
        raise OSError("no space left on device")


@pytest.mark.parametrize("streams", [True, False])
def test_whatever_fails_of_ours_an_upstream_is_free_again(tmp_path: Path, *, streams: bool) -> None:
    found = ScriptedGateway(tmp_path)
    upstream = UpstreamConfig(url="http://127.0.0.1:9/v1")
    snapshot = found.configure(GatewayConfig(upstreams={"up": upstream}))
    found.handler = RequestHandler(
        budgets=LocalBudgets(tmp_path),
        cache=AnswerCache(LocalStore(tmp_path), lambda: Meanings(tmp_path)),
        metrics=found.metrics,
        judging=Judging(),
        book=FullBook(tmp_path, keep_s=60),
    )
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stream": streams}
    with pytest.raises(OSError, match="no space"):
        asyncio.run(found.ask(body))
    assert [each.in_flight for each in snapshot.all()] == [0]
