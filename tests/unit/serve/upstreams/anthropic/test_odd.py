"""Whatever is asked of an upstream of Anthropic's, and whatever it says: an answer or an error.

All between the door and the origin is real; an exception that is no refusal fails here.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from anthropic.types import message_create_params
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from llmops_cli.gateway_file.config import GatewayConfig, JudgingConfig, LimitsConfig, RetriesConfig
from llmops_cli.gateway_file.model import ModelConfig, ShadowConfig
from llmops_cli.gateway_file.upstream import UpstreamConfig
from llmops_cli.serve.endpoints import CHAT, MESSAGES, Endpoint
from llmops_cli.serve.field_tables import CHAT_FIELDS
from llmops_cli.serve.upstreams.breaker import Breaker
from tests.anthropic_upstream import CALL, HELLO, event, events_of, message
from tests.unit.serve.scripted import Answered, Script, ScriptedGateway

Json = dict[str, Any]
CREATE: TypeAdapter[Any] = TypeAdapter(message_create_params.MessageCreateParams)
FINE = (200, 400, 402, 404, 413, 422, 429, 502, 503, 504, 529)
HI: Json = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
FUZZ = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
parts = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "image_url", "file", "refusal", "input_audio"]) | values},
    optional=dict.fromkeys(("text", "refusal", "image_url", "file", "cache_control"), values),
)
calls = st.fixed_dictionaries(
    {},
    optional={
        "id": st.sampled_from(["a", "b.0"]) | values,
        "type": st.just("function") | values,
        "function": st.fixed_dictionaries(
            {}, optional={"name": st.just("f") | values, "arguments": values}
        )
        | values,
    },
)
turns = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant", "system", "tool", "function"]) | values},
        optional={
            "content": st.text(max_size=5) | st.lists(parts, max_size=2) | values,
            "tool_calls": st.lists(calls, max_size=2) | values,
            "tool_call_id": values,
            "refusal": values,
            "function_call": values,
        },
    ),
    max_size=3,
)
fields = st.dictionaries(st.sampled_from(sorted(CHAT_FIELDS)), values, max_size=3)
blocks = st.one_of(
    st.sampled_from([HELLO, CALL]),
    values,
    st.fixed_dictionaries(
        {"type": st.sampled_from(["text", "tool_use", "thinking", "news"]) | values},
        optional=dict.fromkeys(("text", "thinking", "id", "name", "input"), values),
    ),
)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> ScriptedGateway:
    folder: Path = tmp_path_factory.mktemp("odd")
    found = ScriptedGateway(folder)
    upstream = UpstreamConfig(url="http://127.0.0.1:9", dialect="anthropic")
    found.configure(GatewayConfig(upstreams={"up": upstream}, retries=RetriesConfig(most=0)))
    return found


def asked(
    gateway: ScriptedGateway,
    body: Json,
    script: Script,
    endpoint: Endpoint = CHAT,
) -> Answered:
    assert gateway.snapshot is not None
    for upstream in gateway.snapshot.all():
        upstream.breaker = Breaker()
    gateway.scripts = lambda _: script
    gateway.opened.clear()
    return asyncio.run(gateway.ask(body, endpoint=endpoint))


@st.composite
def answers(draw: st.DrawFn) -> Script:
    """Nearly one."""
    status = draw(st.sampled_from([200] * 6 + [302, 400, 404, 429, 500, 529]))
    if draw(st.integers(0, 9)) == 0:
        return Script(status=status, raw=draw(st.binary(max_size=40)))
    whole = message(*draw(st.lists(blocks, max_size=3)))
    whole |= draw(
        st.dictionaries(
            st.sampled_from(["usage", "stop_reason", "stop_sequence", "id", "model", "content"]),
            values,
            max_size=1,
        )
    )
    if draw(st.booleans()):
        return Script(status=status, raw=msgspec.json.encode(whole))
    events = list(events_of(message(HELLO, CALL)))
    place = draw(st.integers(0, len(events)))
    kind = draw(
        st.sampled_from(
            [
                "message_start",
                "content_block_start",
                "content_block_delta",
                "message_delta",
                "error",
            ]
        )
        | st.text(max_size=3)
    )
    said = draw(
        st.dictionaries(
            st.sampled_from(["index", "delta", "content_block", "message", "usage", "error"]),
            blocks | values,
            max_size=3,
        )
    )
    events.insert(place, event(kind, **said))
    return Script(status=status, raw=b"".join(events), kind=b"text/event-stream")


@FUZZ
@given(script=answers(), streams=st.booleans())
@example(script=Script(raw=b"[" * 100_000), streams=True)
def test_whatever_it_says_is_no_bug(
    gateway: ScriptedGateway, script: Script, streams: bool
) -> None:
    found = asked(gateway, {**HI, "stream": streams}, script)
    own = 500 if script.status == 500 else 502
    assert found.status in (*FINE, own), "an upstream's own 500 passes"
    for line in found.body.splitlines():
        if line.startswith(b"data: ") and line != b"data: [DONE]":
            json.loads(line[6:])


@FUZZ
@given(messages=turns, more=fields, theirs=st.booleans())
def test_whatever_is_asked_is_sent_in_its_words_or_refused(
    gateway: ScriptedGateway, messages: list[Json], more: Json, theirs: bool
) -> None:
    body = {**HI, **more, "messages": messages, "max_tokens": 5}
    script = Script(raw=msgspec.json.encode(message(HELLO)))
    found = asked(gateway, body, script, MESSAGES if theirs else CHAT)
    assert found.status in (200, 400, 502)
    assert found.status != 200 or len(gateway.opened) == 1


def nested(depth: int) -> Json:
    found: Json = {}
    for _ in range(depth):
        found = {"a": found}
    return found


@pytest.mark.parametrize("depth", [100, 400, 480, 490, 500, 900])
def test_a_deep_schema_is_sent_or_refused(gateway: ScriptedGateway, depth: int) -> None:
    function = {"name": "f", "parameters": nested(depth)}
    body = {**HI, "tools": [{"type": "function", "function": function}]}
    found = asked(gateway, body, Script(raw=msgspec.json.encode(message(HELLO))))
    assert found.status in (200, 400)
    sent = [json.loads(each.body) for each in gateway.opened]
    if found.status == 200:
        assert sent[0]["tools"][0]["input_schema"]["a"] == nested(depth)["a"]


def test_however_deep_a_field_is_its_upstream_is_free_again(gateway: ScriptedGateway) -> None:
    """Depths around that at which nothing can be decoded, which is another in each function."""
    assert gateway.snapshot is not None
    script = Script(raw=msgspec.json.encode(message(HELLO)))
    statuses = set()
    for depth in range(800, 1000):
        deep = msgspec.Raw(b"[" * depth + b"]" * depth)
        found = asked(gateway, {**HI, "metadata": deep}, script)
        if found.status == 200:
            assert found.headers[b"x-llmops-unsent"] == b"metadata"
        statuses.add(found.status)
        assert [each.in_flight for each in gateway.snapshot.all()] == [0]
    assert {200} <= statuses <= {200, 400}


@pytest.mark.parametrize(("seconds", "status"), [(60, 200), (0.001, 413)])
def test_a_large_chat_is_translated_by_a_judge(tmp_path: Path, seconds: float, status: int) -> None:
    """Which has as long as the file says."""
    found = ScriptedGateway(tmp_path)
    claude = UpstreamConfig(url="http://127.0.0.1:9", dialect="anthropic")
    limits = LimitsConfig(judging=JudgingConfig(seconds=seconds))
    found.configure(GatewayConfig(upstreams={"up": claude}, limits=limits))
    turns = [{"role": ("user", "assistant")[each % 2], "content": "x"} for each in range(9000)]
    answer = asked(
        found, {**HI, "messages": turns}, Script(raw=msgspec.json.encode(message(HELLO)))
    )
    assert answer.status == status
    if status == 200:
        [opened] = found.opened
        assert json.loads(opened.body)["messages"] == turns


def test_a_copy_that_cannot_be_said_is_not_sent(tmp_path: Path) -> None:
    """Nor does it keep the request from who answers it."""
    found = ScriptedGateway(tmp_path)
    found.configure(
        GatewayConfig(
            upstreams={
                "gpt": UpstreamConfig(url="http://127.0.0.1:9"),
                "claude": UpstreamConfig(url="http://127.0.0.1:9", dialect="anthropic"),
            },
            models={"m": ModelConfig(pool=["gpt"], shadow=ShadowConfig(use=["claude"], share=1))},
        )
    )
    assert asyncio.run(found.ask({**HI, "n": 2})).status == 200
    assert [opened.upstream for opened in found.opened] == ["gpt"]
    assert asyncio.run(found.ask(HI)).status == 200
    assert {(opened.upstream, opened.path) for opened in found.opened[1:]} == {
        ("gpt", "/v1/chat/completions"),
        ("claude", "/v1/messages"),
    }


def test_a_plain_chat_is_legal_there(gateway: ScriptedGateway) -> None:
    body = {**HI, "stop": "x", "temperature": 2, "top_k": -1, "reasoning_effort": "high"}
    asked(gateway, body, Script(raw=msgspec.json.encode(message(HELLO))))
    [opened] = gateway.opened
    sent = json.loads(opened.body)
    CREATE.validate_python(sent)
    assert "top_k" not in sent
    assert sent["output_config"] == {"effort": "high"}
