"""What `serve` says of a gateway once it answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmops_cli.gateway_file.config import GatewayConfig
from llmops_cli.gateway_file.upstream import UpstreamConfig
from llmops_cli.pipeline.gateway import names_of_models


@pytest.mark.parametrize(
    ("model", "name"),
    [("./small", "small"), (".", "here"), ("/m/small.gguf", "small.gguf"), ("owner/x", "owner/x")],
)
def test_a_model_at_a_path_is_told_as_it_is_served(
    model: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    upstreams = {"engine": UpstreamConfig(engine="llamacpp", model=model)}
    assert list(names_of_models(GatewayConfig(upstreams=upstreams))) == [name]
