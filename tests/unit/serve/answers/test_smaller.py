"""Chats that the file makes smaller: what is sent, counted and told."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec

from llmops_cli.gateway_file.config import GatewayConfig, LimitsConfig
from llmops_cli.gateway_file.model import CacheConfig, CompressConfig, ModelConfig
from llmops_cli.gateway_file.upstream import UpstreamConfig
from llmops_cli.serve.context import ANYBODY
from llmops_cli.serve.endpoints import CHAT, COMPLETIONS, MESSAGES, Endpoint
from tests.unit.serve.scripted import Answered, ScriptedGateway

CONTEXT = "The same long paragraph of context, which stands in every turn of a chat, says little."
SYSTEM = {"role": "system", "content": "Be  short."}
OLD = [
    {"role": "user", "content": f"{CONTEXT}\n\n\n\nFirst  question?"},
    {"role": "assistant", "content": "Yes. " * 60},
]
NEW = [
    {"role": "user", "content": f"{CONTEXT}\n\nSecond question?"},
    {"role": "assistant", "content": "No."},
    {"role": "user", "content": f"{CONTEXT}\n\nThird  question?"},
]


class Asking:
    def __init__(self, folder: Path, **settings: Any) -> None:
        self.gateway = ScriptedGateway(folder)
        model = ModelConfig(pool=["u"], compress=CompressConfig(tokens=80))
        config = GatewayConfig(
            upstreams={"u": UpstreamConfig(url="http://127.0.0.1:9/v1")},
            models={"a": ModelConfig(pool=["u"]), "bounded": model},
            compress=CompressConfig(),
            **settings,
        )
        self.gateway.configure(config)

    def __call__(self, model: str, endpoint: Endpoint = CHAT, **body: Any) -> Answered:
        body = {"model": model, **body}
        return asyncio.run(self.gateway.ask(body, endpoint=endpoint, key=ANYBODY))

    @property
    def sent(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = msgspec.json.decode(self.gateway.opened[-1].body)["messages"]
        return found


def test_what_is_sent_is_smaller_and_the_client_is_told(tmp_path: Path) -> None:
    ask = Asking(tmp_path)
    found = ask("a", messages=[SYSTEM, *OLD, *NEW])
    assert found.status == 200
    assert found.headers[b"x-llmops-compressed"].endswith(b", paragraphs 1")
    assert ask.sent[0] == SYSTEM
    assert ask.sent[1]["content"] == f"{CONTEXT}\n\nFirst question?"
    assert ask.sent[3]["content"] == "Second question?"
    assert ask.sent[-1] == NEW[-1]
    found = ask("bounded", messages=[SYSTEM, *OLD, *NEW])
    assert b", turns 1" in found.headers[b"x-llmops-compressed"]
    assert ask.sent == [SYSTEM, *NEW]
    text = ask.gateway.metrics.text().decode()
    assert 'compression_tokens_total{model="bounded",moment="before"}' in text
    assert 'compression_tokens_total{model="bounded",moment="after"}' in text


def test_what_cannot_be_smaller_is_sent_as_it_is(tmp_path: Path) -> None:
    ask = Asking(tmp_path)
    found = ask("a", messages=[SYSTEM, NEW[-1]])
    assert b"x-llmops-compressed" not in found.headers
    assert ask("a", COMPLETIONS, prompt="a  b").status == 200
    assert b"a  b" in ask.gateway.opened[-1].body
    assert ask("a", MESSAGES, max_tokens=5, messages=[*OLD, *NEW]).status == 200
    assert ask.sent[0]["content"] == f"{CONTEXT}\n\nFirst question?"


def test_limits_and_the_cache_see_the_smaller_chat(tmp_path: Path) -> None:
    limits = LimitsConfig(prompt_tokens=120)
    ask = Asking(tmp_path, limits=limits, cache=CacheConfig())
    assert ask("a", messages=[*OLD, *NEW], temperature=0).status == 400
    assert ask("bounded", messages=[*OLD, *NEW], temperature=0).status == 200
    found = ask("bounded", messages=NEW, temperature=0)
    assert found.headers[b"x-llmops-cache"] == b"hit"
