"""What a client names, or says, and an upstream does not take says nothing of the upstream."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from llmops_cli.gateway_file.config import GatewayConfig
from llmops_cli.gateway_file.model import ModelConfig
from llmops_cli.gateway_file.upstream import UpstreamConfig
from llmops_cli.serve.endpoints import CHAT, RESPONSES, Endpoint
from tests.unit.serve.scripted import Opened, Script, ScriptedGateway

WHOLE = b'{"choices":[{"index":0,"message":{"content":"Hi"},"finish_reason":"stop"}]}'
NOT_FOUND = b'{"error":{"message":"there is no such thing"}}'
FILE = {"type": "input_file", "file_id": "file-x"}


@pytest.fixture
def gateway(tmp_path: Path) -> ScriptedGateway:
    found = ScriptedGateway(tmp_path)
    upstreams = {name: UpstreamConfig(url=f"http://127.0.0.1:9/{name}") for name in ("a", "b")}
    models = {"m": ModelConfig(pool=["a", "b"])}
    found.configure(GatewayConfig(upstreams=upstreams, models=models))
    found.scripts = lambda _: Script(status=404, raw=NOT_FOUND)
    return found


@pytest.mark.parametrize(
    ("endpoint", "fields"),
    [
        (RESPONSES, {"input": "Hi", "conversation": "conv_x"}),
        (RESPONSES, {"input": "Hi", "previous_response_id": "resp_x"}),
        (RESPONSES, {"input": "Hi", "prompt": {"id": "pmpt_x"}}),
        (RESPONSES, {"input": [{"role": "user", "content": [FILE]}]}),
        (CHAT, {"messages": [{"role": "user", "content": [{"type": "file", "file": FILE}]}]}),
    ],
)
def test_it_is_told_and_nobody_rests(
    gateway: ScriptedGateway, endpoint: Endpoint, fields: dict[str, Any]
) -> None:
    """One such request kept all upstreams of a model from being asked for ten seconds."""
    answered = asyncio.run(gateway.ask({"model": "m", **fields}, endpoint=endpoint))
    assert (answered.status, answered.body) == (404, NOT_FOUND)
    assert len(gateway.opened) == 1
    assert gateway.snapshot is not None
    assert not any(each.refuses_us(endpoint.path) for each in gateway.snapshot.all())


def test_a_model_that_only_the_file_names_is_the_gateway_s_own_word(
    gateway: ScriptedGateway,
) -> None:
    answered = asyncio.run(gateway.ask({"model": "m", "input": "Hi"}, endpoint=RESPONSES))
    assert answered.status == 502
    assert len(gateway.opened) == 2


@pytest.mark.parametrize(
    ("status", "then"), [(404, ["a", "b"]), (405, ["a", "b"]), (401, ["b"]), (403, ["b"])]
)
def test_what_one_path_has_not_got_says_nothing_of_another(
    gateway: ScriptedGateway, status: int, then: list[str]
) -> None:
    """A client that asks for Responses kept chats from an upstream that has chats alone."""

    def lacking(opened: Opened) -> Script:
        is_lacking = opened.upstream == "a" and opened.path == RESPONSES.path
        return Script(status=status if is_lacking else 200, raw=b"{}" if is_lacking else WHOLE)

    gateway.scripts = lacking
    for _ in range(8):
        asyncio.run(gateway.ask({"model": "m", "input": "Hi"}, endpoint=RESPONSES))
    assert [each.upstream for each in gateway.opened].count("a") == 1
    gateway.opened.clear()
    chat = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
    for _ in range(24):
        assert asyncio.run(gateway.ask(chat)).status == 200
    assert sorted({each.upstream for each in gateway.opened}) == then


def test_a_text_that_an_upstream_does_not_take_is_its_client_s(gateway: ScriptedGateway) -> None:
    """OpenRouter answers 403, as it does to a key that is none."""
    metadata = {"reasons": ["violence"], "flagged_input": "Hi", "provider_name": "p"}
    raw = msgspec.json.encode({"error": {"code": 403, "message": "no", "metadata": metadata}})
    gateway.scripts = lambda _: Script(status=403, raw=raw)
    chat = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
    answered = asyncio.run(gateway.ask(chat))
    assert (answered.status, answered.body) == (403, raw)
    assert gateway.snapshot is not None
    assert not any(each.refuses_us(CHAT.path) for each in gateway.snapshot.all())
