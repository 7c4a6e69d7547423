"""Secrets go where they belong and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from llmops_cli.core.errors import UsageError
from tests.unit.deploy.conftest import GATEWAY, Render, objects

TWO = (
    "upstreams: {{a: {{url: http://a/v1, key_file: {}}}, b: {{url: http://b/v1, key_file: {}}}}}\n"
)
KEY = "sk-proj-4fHq8ZsT1vXn6Yb3Lw0KdRj7Mc2Pg9Ua5EiQoBt"
ONE = "upstreams: {{a: {{url: http://h/v1, {}}}}}\n"


@pytest.mark.parametrize("target", ["k8s", "kserve", "compose", "systemd"])
def test_two_keys_are_never_one_file(target: str, rendered: Render) -> None:
    with pytest.raises(UsageError, match="openai/key and anthropic/key would both be"):
        rendered(TWO.format("openai/key", "anthropic/key"), target=target)
    with pytest.raises(UsageError, match="would both be"):
        text = ONE.format('key_file: x/a b, headers: {X-B: "${file:y/a-b}"}')
        rendered(text, target=target)
    rendered(TWO.format("keys/one", "./keys/one"), target=target)


@pytest.mark.parametrize(
    "field",
    [
        f'headers: {{X-Team: "${{TEAM:-{KEY}}}"}}',
        f'headers: {{X-Team: "{KEY} ${{TEAM}}"}}',
        'headers: {X-Api-Key: "${KEY:-abc}"}',
        f'query: {{q: "${{Q:-{KEY}}}"}}',
    ],
)
def test_what_stands_for_a_variable_is_a_secret_too(field: str, rendered: Render) -> None:
    with pytest.raises(UsageError, match="holds a secret"):
        rendered(ONE.format(field))


def test_variables_themselves_are_none(rendered: Render) -> None:
    fields = 'headers: {X-Api-Key: "${KEY}", X-A: "${A:-}", X-B: "Bearer ${file:keys/b}"}'
    pod = objects(rendered(ONE.format(fields)))["Deployment", "llmops-gateway"]
    container = pod["spec"]["template"]["spec"]["containers"][0]
    assert {"KEY", "A"} <= {each["name"] for each in container["env"]}


def test_a_policys_key_is_asked_of_the_cluster(rendered: Render, tmp_path: Path) -> None:
    side = {
        "moderation": {"action": "block", "url": "http://mod:9000/v1", "key_env": "MOD_KEY"},
        "classifier": {"action": "flag", "name": "onnx:./toxic"},
    }
    (tmp_path / "policy.yaml").write_text(yaml.safe_dump({"input": side}))
    files = rendered(ONE.format("can: []") + "guard: policy.yaml\n")
    found = objects(files)
    pod = found["Deployment", "llmops-gateway"]["spec"]["template"]["spec"]
    assert "MOD_KEY" in {each["name"] for each in pod["containers"][0]["env"]}
    egress = found["NetworkPolicy", "llmops-gateway"]["spec"]["egress"]
    assert {"protocol": "TCP", "port": 9000} in [port for each in egress for port in each["ports"]]


def test_systemd_hands_files_to_the_gateway_alone(rendered: Render) -> None:
    files = rendered(ONE.format("key_file: keys/openai"), target="systemd")
    unit = files["systemd/llmops-gateway.service"]
    assert "LoadCredential=openai:/etc/llmops/secrets/openai\n" in unit
    written = yaml.safe_load(files["systemd/gateway.yaml"])["upstreams"]["a"]["key_file"]
    assert written == "/run/credentials/llmops-gateway.service/openai"


@pytest.mark.parametrize("target", ["k8s", "kserve", "compose", "systemd"])
@pytest.mark.parametrize("where", ["policy.yaml", "texts/support.md"])
def test_a_secret_in_what_is_brought_along_is_told_by_line(
    rendered: Render, tmp_path: Path, target: str, where: str
) -> None:
    """A policy and prompts stand in a ConfigMap as they are."""
    texts = {
        "policy.yaml": "input: {injection: block}\n",
        "texts/support.md": "system:\nBe kind.\n\nuser:\n{{question}}\n",
    }
    for name, text in texts.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    text = GATEWAY.replace("guard: default", "guard: policy.yaml\nprompts: texts")
    assert rendered(text, target=target)
    (tmp_path / where).write_text(texts[where].replace("\n", f"\n# {KEY}\n", 1))
    with pytest.raises(UsageError, match="a key \\(openai\\) stands here") as refused:
        rendered(text, target=target)
    assert f"{where}:2:" in refused.value.message
    assert KEY not in refused.value.message
