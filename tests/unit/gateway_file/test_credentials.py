"""What an upstream is sent beside a request, by its dialect."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llmops_cli.core.errors import UsageError
from llmops_cli.gateway_file.credentials import credentials_of
from llmops_cli.gateway_file.read import load_config
from llmops_cli.gateway_file.upstream import UpstreamConfig

VERSION = {"anthropic-version": "2023-06-01"}


@pytest.mark.parametrize(
    ("fields", "headers"),
    [
        ({}, {"Authorization": "Bearer k1"}),
        ({"key_header": "api-key"}, {"api-key": "k1"}),
        ({"dialect": "anthropic"}, {"x-api-key": "k1", **VERSION}),
        ({"dialect": "anthropic", "key_header": "X-Key"}, {"X-Key": "k1", **VERSION}),
        (
            {"dialect": "anthropic", "headers": {"Anthropic-Version": "2024-01-01"}},
            {"x-api-key": "k1", "Anthropic-Version": "2024-01-01"},
        ),
    ],
)
def test_where_the_key_stands(
    fields: dict[str, Any], headers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEY", "k1")
    found = credentials_of(UpstreamConfig(url="http://h", key_env="KEY", **fields))
    assert found.headers == headers
    assert "k1" in found.secrets


def test_anthropics_key_is_not_sent_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", "k1")
    file = tmp_path / "gateway.yaml"
    own = "{url: http://h, dialect: anthropic, key_env: KEY, headers: {X-Api-Key: k2}}"
    file.write_text(f"upstreams:\n  a: {own}\n")
    with pytest.raises(UsageError, match="X-Api-Key is sent twice"):
        load_config(file)
