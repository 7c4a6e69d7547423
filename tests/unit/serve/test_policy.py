"""A guard that asks nobody who may not see a request."""

from __future__ import annotations

import msgspec
import pytest

from llmops_cli.gateway_file.config import GatewayConfig
from llmops_cli.gateway_file.model import ModelConfig
from llmops_cli.gateway_file.upstream import UpstreamConfig
from llmops_cli.guard.check import Guard
from llmops_cli.guard.policy import DEFAULT, Detector, PolicySide
from llmops_cli.serve.policy import asking_only
from llmops_cli.serve.upstreams.destinations import ANYWHERE, only
from tests.unit.serve.scripted import ScriptedGateway


def moderating(url: str) -> Guard:
    """On every side of a policy."""
    side = PolicySide(detectors={"moderation": Detector(action="block", url=url)})
    changed = msgspec.structs.replace(
        DEFAULT,
        input=side,
        output=side,
        routes={"/v1/chat/completions": (side, side)},
        roles={"tool": side},
    )
    return Guard(changed)


def actions(guard: Guard) -> set[str]:
    policy = guard.policy
    sides = [policy.input, policy.output, *policy.routes["/v1/chat/completions"]]
    return {side.of("moderation").action for side in (*sides, policy.roles["tool"])}


@pytest.mark.parametrize(
    ("url", "action"),
    [
        ("https://api.example.com/v1/moderations", "allow"),
        ("http://127.0.0.1:9000/v1/moderations", "block"),
        ("http://[::1]:9000/v1/moderations", "block"),
        ("http://localhost/v1/moderations", "block"),
        ("http://gpu-a/v1/moderations", "block"),
        ("http://gpu-a.example.com/v1/moderations", "allow"),
        ("http://127.0.0.1.example.com/", "allow"),
    ],
)
def test_texts_that_stay_reach_no_other_host(url: str, action: str) -> None:
    assert actions(asking_only(moderating(url), {"gpu-a"})) == {action}


def test_a_snapshot_keeps_both(tmp_path_factory: pytest.TempPathFactory) -> None:
    gateway = ScriptedGateway(tmp_path_factory.mktemp("state"))
    upstreams = {"near": UpstreamConfig(url="http://gpu-a:8000/v1")}
    config = GatewayConfig(upstreams=upstreams, models={"a": ModelConfig(pool=["near"])})
    snapshot = gateway.configure(config)
    snapshot.guard = moderating("https://api.example.com/v1/moderations")
    assert snapshot.guard_for(ANYWHERE) is snapshot.guard
    kept = snapshot.guard_for(only(["near"]))
    assert kept is not None
    assert actions(kept) == {"allow"}
    snapshot = gateway.configure(config)
    snapshot.guard = moderating("http://gpu-a:9000/v1/moderations")
    assert snapshot.guard_for(only(["near"])) is snapshot.guard
