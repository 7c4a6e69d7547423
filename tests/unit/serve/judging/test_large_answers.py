"""What of an answer is no text is not counted among what a guard can judge."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from llmops_cli.gateway_file.config import GatewayConfig
from llmops_cli.gateway_file.upstream import UpstreamConfig
from llmops_cli.serve.endpoints import EMBEDDINGS, Endpoint
from llmops_cli.serve.passed_endpoints import IMAGES, SPEECH
from llmops_cli.serve.policy import DEFAULT, read_policy
from tests.unit.serve.scripted import Answered, Script, ScriptedGateway

BYTES = 5 << 20
"""More than the text that is judged."""
CARD = "4111 1111 1111 1111"
VECTORS = {"data": [{"index": 0, "embedding": [0.5] * (BYTES // 4)}]}
IMAGE = {"b64_json": "A" * BYTES, "revised_prompt": f"A card: {CARD}"}


@pytest.fixture
def gateway(tmp_path: Path) -> ScriptedGateway:
    found = ScriptedGateway(tmp_path)
    upstreams = {"up": UpstreamConfig(url="http://127.0.0.1:9/v1")}
    config = GatewayConfig(upstreams=upstreams, guard=DEFAULT)
    found.configure(config, policy=read_policy(DEFAULT, None))
    return found


def answered(gateway: ScriptedGateway, endpoint: Endpoint, raw: bytes, field: str) -> Answered:
    gateway.scripts = lambda _: Script(raw=raw)
    return asyncio.run(gateway.ask({"model": "m", field: "Hi"}, endpoint=endpoint))


def test_vectors_and_sounds_are_no_text(gateway: ScriptedGateway) -> None:
    raw = msgspec.json.encode(VECTORS)
    assert len(raw) > 4 << 20
    found = answered(gateway, EMBEDDINGS, raw, "input")
    assert (found.status, found.body) == (200, raw)
    sound = b"\xff\xfb" * (BYTES // 2)
    found = answered(gateway, SPEECH, sound, "input")
    assert (found.status, found.body) == (200, sound)


def test_words_beside_an_image_are_judged_however_large_that_is(gateway: ScriptedGateway) -> None:
    raw = msgspec.json.encode({"data": [IMAGE]})
    found = answered(gateway, IMAGES, raw, "prompt")
    assert found.status == 200
    image = msgspec.json.decode(found.body)["data"][0]
    assert image["b64_json"] == IMAGE["b64_json"]
    assert CARD not in image["revised_prompt"]


def test_a_text_that_is_too_long_is_told(gateway: ScriptedGateway) -> None:
    raw = msgspec.json.encode({"data": [{"revised_prompt": "a " * BYTES}]})
    assert answered(gateway, IMAGES, raw, "prompt").status == 502
