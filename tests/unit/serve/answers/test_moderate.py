"""The guard's opinion of texts that are for no model: within limits, and as private as a chat."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec

from llmops_cli.gateway_file.config import GatewayConfig, LimitsConfig, LimitSet
from llmops_cli.gateway_file.model import ModelConfig, RuleConfig
from llmops_cli.gateway_file.upstream import UpstreamConfig
from llmops_cli.guard.policy import DEFAULT, Detector, PolicySide
from llmops_cli.serve.accounts.keys import Key
from llmops_cli.serve.endpoints import MODERATIONS
from tests.unit.serve.scripted import Answered, ScriptedGateway

KEY = Key(id="k", name="k", role="user", models=[], created=0.0)
UPSTREAMS = {"up": UpstreamConfig(url="http://127.0.0.1:9/v1")}
ELSEWHERE = Detector(action="block", url="http://moderation.invalid/v1/moderations")
ASKS_ELSEWHERE = msgspec.structs.replace(
    DEFAULT, input=PolicySide(detectors={**DEFAULT.input.detectors, "moderation": ELSEWHERE})
)
CARD = "My card is 4111 1111 1111 1111"


def judged(gateway: ScriptedGateway, text: Any) -> Answered:
    asked = {"model": "any", "input": text}
    return asyncio.run(gateway.ask(asked, endpoint=MODERATIONS, key=KEY, key_id="k"))


def test_it_takes_a_request_of_the_limits(tmp_path: Path) -> None:
    gateway = ScriptedGateway(tmp_path)
    limits = LimitsConfig(key=LimitSet(requests_per_minute=2))
    gateway.configure(GatewayConfig(upstreams=UPSTREAMS, limits=limits))
    found = [judged(gateway, "Hello") for _ in range(3)]
    assert [each.status for each in found] == [200, 200, 429]
    assert b"x-ratelimit-remaining-requests" in found[0].headers


def test_personal_data_is_asked_of_nobody_elsewhere_where_a_rule_keeps_it(tmp_path: Path) -> None:
    """Whoever is asked elsewhere does not answer: then the guard cannot judge."""
    gateway = ScriptedGateway(tmp_path)
    policy = msgspec.json.encode(ASKS_ELSEWHERE).decode()
    model = ModelConfig(pool=["up"], rules=[RuleConfig(use=["up"], private=True)])
    gateway.configure(GatewayConfig(upstreams=UPSTREAMS, models={"m": model}), policy=policy)
    assert judged(gateway, CARD).status == 200
    assert judged(gateway, [{"type": "text", "text": CARD}]).status == 200
    assert judged(gateway, "Hello").status == 503
    gateway.configure(
        GatewayConfig(upstreams=UPSTREAMS, models={"m": ModelConfig(pool=["up"])}), policy=policy
    )
    assert judged(gateway, CARD).status == 503
