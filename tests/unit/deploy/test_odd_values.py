"""What stands in a gateway's file arrives as it stands there, however the target reads its own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from llmops_cli.core.errors import UsageError
from llmops_cli.gateway_file.credentials import credentials_of
from llmops_cli.gateway_file.read import read_file
from tests.unit.deploy.conftest import Render, objects

CHARACTERS = """
upstreams:
  a:
    url: http://h/v1
    query: {api-version: 1.10, day: 2024-10-21, mode: 0755, time: 12:30, n: 1_000}
    headers: {X-On: on, X-E: 1e3, X-No: ~.~, X-Tag: "1.10", X-Y: y}
"""
PRICES = "upstreams: {a: {url: http://h/v1, price: {input: 12.3456789, output: 0.00001}}}\n"
SERVED = 'my "m" $HOME $(HOME) %h \\x it\'s.gguf'
ODD = f"./{SERVED}"
ENGINES = f"""
upstreams:
  one: {{engine: llamacpp, model: demo}}
  two: {{engine: vllm, model: org/m, options: {{max_model_len: 8000}}}}
  odd: {{engine: llamacpp, model: {yaml.safe_dump(ODD, default_style='"').strip()}}}
"""
WORD = re.compile(r'"((?:[^"\\]|\\.)*)"|(\S+)')


def clusters_file(files: dict[str, Any], tmp_path: Path) -> Path:
    path = tmp_path / "there.yaml"
    data = objects(files)["ConfigMap", "llmops-gateway"]["data"]
    path.write_text(data["gateway.yaml"])
    return path


@pytest.fixture(autouse=True)
def password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_PASSWORD", "x")


def test_headers_and_queries_are_the_same_characters_there(
    rendered: Render, gateway_file: Path, tmp_path: Path
) -> None:
    there = clusters_file(rendered(CHARACTERS), tmp_path)
    sent = [credentials_of(read_file(each).config.upstreams["a"]) for each in (gateway_file, there)]
    assert sent[0] == sent[1]
    assert "api-version=1.10&day=2024-10-21&mode=0755&time=12%3A30&n=1_000" in sent[1].query
    assert sent[1].headers["X-On"] == "on"


def test_prices_keep_their_digits(rendered: Render, gateway_file: Path, tmp_path: Path) -> None:
    there = clusters_file(rendered(PRICES), tmp_path)
    prices = [read_file(each).config.upstreams["a"].price for each in (gateway_file, there)]
    assert prices[0] == prices[1]
    assert "12.3456789" in there.read_text()


def arguments(word: str, argv: list[str]) -> str:
    return argv[argv.index(word) + 1]


def of_unit(unit: str) -> list[str]:
    """The command as systemd runs it (systemd.syntax, systemd.service), without its variables."""
    (line,) = re.findall("^ExecStart=(.*)$", unit, re.MULTILINE)
    words = []
    for quoted, plain in WORD.findall(line):
        text = re.sub(r"\\(.)", r"\1", quoted or plain)
        assert not re.search(r"(?<!\$)(\$\$)*\$(?!\$)", text), text
        words.append(text.replace("%%", "%").replace("$$", "$"))
    return words


def test_a_port_takes_no_other_numbers_place(rendered: Render) -> None:
    unit = of_unit(rendered(ENGINES, target="systemd")["systemd/llmops-two.service"])
    found = objects(rendered(ENGINES), "overlays/local/pods")
    pod = found["Deployment", "llmops-two"]["spec"]["template"]["spec"]
    for argv, port in ((unit, "8001"), (pod["containers"][0]["args"], "8002")):
        assert arguments("--port", argv) == port
        assert arguments("--max-model-len", argv) == "8000"


def test_a_name_with_signs_reaches_every_engine(rendered: Render) -> None:
    unit = of_unit(rendered(ENGINES, target="systemd")["systemd/llmops-odd.service"])
    assert arguments("--name", unit) == SERVED

    compose = yaml.safe_load(rendered(ENGINES, target="compose")["compose/compose.yaml"])
    argv = compose["services"]["odd"]["command"]
    assert arguments("--name", argv).replace("$$", "$") == SERVED
    assert arguments("--name", argv).count("$$") == 2

    pod = objects(rendered(ENGINES))["Deployment", "llmops-odd"]["spec"]["template"]["spec"]
    argv = pod["containers"][0]["args"]
    assert arguments("--name", argv) == SERVED.replace("$", "$$")
    assert arguments("--host", argv) == "$(POD_IP)"


def test_what_fits_into_no_config_map_is_told(rendered: Render, tmp_path: Path) -> None:
    words = [f"word{number:06d}" for number in range(90_000)]
    policy = {"input": {"blocklist": {"action": "block", "words": words}}}
    (tmp_path / "policy.yaml").write_text(yaml.safe_dump(policy))
    with pytest.raises(UsageError, match="do not fit into a ConfigMap"):
        rendered(PRICES + "guard: policy.yaml\n")

    deep = tmp_path / "prompts" / ("a" * 200) / ("b" * 100)
    deep.mkdir(parents=True)
    (deep / "c.md").write_text("Hello\n")
    with pytest.raises(UsageError, match="too long a path"):
        rendered(PRICES + "prompts: prompts\n")
