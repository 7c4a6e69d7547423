"""OpenAI's categories of moderation at the gateway, by a model that was trained here."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from tests.conftest import Cli
from tests.gateway import CHAT, Starter, Upstream
from tests.unit.guard.moderation.labelled import HATEFUL, PLAIN, sentence, write_labelled

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


def test_its_categories_stand_in_moderations_and_stop_chats(
    cli: Cli, upstream: Upstream, start: Starter, tmp_path: Path
) -> None:
    write_labelled(tmp_path / "data.jsonl", rows=240)
    made = cli("guard", "train", "data.jsonl", "-o", "model")
    assert made.returncode == 0, made.stderr
    policy = tmp_path / "policy.yaml"
    policy.write_text(f"input: {{moderation: {{action: block, name: 'onnx:{tmp_path}/model'}}}}\n")
    gateway = start.config(f"upstreams: {{u: {{url: '{upstream.url}'}}}}\nguard: {policy}\n")
    hateful = sentence(random.Random(1), HATEFUL, HATEFUL)
    asked = {"model": "any", "input": [hateful, " ".join(PLAIN)]}
    status, _, raw = gateway.ask(asked, path="/v1/moderations")
    assert status == 200
    bad, fine = json.loads(raw)["results"]
    assert bad["flagged"]
    assert not fine["flagged"]
    assert bad["categories"]["hate"]
    assert not bad["categories"]["violence"]
    assert bad["category_scores"]["hate"] > fine["category_scores"]["hate"]
    assert bad["category_applied_input_types"]["hate"] == ["text"]
    assert bad["category_applied_input_types"]["sexual"] == []
    status, _, raw = gateway.ask({**CHAT, "messages": [{"role": "user", "content": hateful}]})
    assert status == 400
    assert json.loads(raw)["error"]["code"] == "content_filter"
    assert gateway.ask(CHAT)[0] == 200


def test_a_model_that_is_not_there_is_told_before_anything_is_served(
    cli: Cli, tmp_path: Path
) -> None:
    (tmp_path / "policy.yaml").write_text("input: {moderation: {action: flag, name: 'onnx:gone'}}")
    (tmp_path / "gateway.yaml").write_text(
        "upstreams: {u: {url: 'http://127.0.0.1:9/v1'}}\nguard: policy.yaml\n"
    )
    run = cli("serve", "--config", "gateway.yaml", "--check")
    assert run.returncode == 2
    assert "gone/model.onnx" in run.stderr
    assert "Traceback" not in run.stderr
