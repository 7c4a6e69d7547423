"""A gateway's folder of prompts: what is wrong with one is told with its file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmops_cli.core.errors import UsageError
from llmops_cli.gateway_file.config import GatewayConfig
from llmops_cli.gateway_file.model import ModelConfig
from llmops_cli.gateway_file.read import load_config
from llmops_cli.gateway_file.upstream import UpstreamConfig
from llmops_cli.serve.prompts.library import read_prompts

CONFIG = GatewayConfig(
    upstreams={"u": UpstreamConfig(url="http://127.0.0.1:9/v1")},
    models={"small": ModelConfig(pool=["u"], adapters=["law"])},
    prompts="prompts",
)


def written(folder: Path, text: str) -> Path:
    (folder / "prompts").mkdir()
    path = folder / "prompts" / "p.md"
    path.write_text(text)
    return path


def test_prompts_are_read_by_name_for_models_and_adapters(tmp_path: Path) -> None:
    written(tmp_path, "---\nmodel: law\nparameters: {temperature: 0}\n---\nHi {{who}}\n")
    found = read_prompts(CONFIG, tmp_path)
    assert [prompt.name for prompt in found] == ["p"]
    assert found[0].path is None
    assert read_prompts(GatewayConfig(upstreams={}), tmp_path) == []


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("---\nmodel: smal\n---\nHi\n", 2, "unknown model 'smal'"),
        ("---\nmodle: small\n---\nHi\n", 2, "unknown key 'modle'"),
        ("---\nmodel: small\nparameters:\n  temperatur: 0\n---\nHi\n", 4, "'temperatur'"),
        ("---\nparameters: {top_p: 1, messages: []}\n---\nHi\n", 2, "'messages'"),
        ("---\nparameters: {chat_template: x}\n---\nHi\n", 2, "is not taken"),
        (
            "---\nschema: {}\nparameters:\n  response_format: {}\n---\nHi\n",
            4,
            "stands beside a schema",
        ),
        ("---\nmodel: small\n", 1, "does not end"),
    ],
)
def test_a_prompt_that_no_gateway_can_serve_is_told_with_its_line(
    tmp_path: Path, text: str, line: int, said: str
) -> None:
    path = written(tmp_path, text)
    with pytest.raises(UsageError) as told:
        read_prompts(CONFIG, tmp_path)
    assert told.value.message.startswith(f"{path}:{line}: ")
    assert said in told.value.message


def test_a_folder_that_is_not_there_or_empty_is_told(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text("upstreams: {u: {url: http://127.0.0.1:9/v1}}\nprompts: prompts\n")
    with pytest.raises(
        UsageError, match=r"gateway\.yaml:2: prompts: no folder of prompts at prompts"
    ):
        load_config(file)
    (tmp_path / "prompts").mkdir()
    with pytest.raises(UsageError, match="no prompt in the folder prompts"):
        read_prompts(load_config(file), tmp_path)
