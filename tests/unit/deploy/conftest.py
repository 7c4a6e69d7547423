"""A gateway's file with an engine, a second one and a hosted upstream, and its rendering."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from llmops_cli.deploy.recipe import RenderRecipe
from llmops_cli.deploy.render import render

GATEWAY = """
upstreams:
  chat: {engine: llamacpp, model: ./m.gguf, replicas: 2, max_in_flight: 64, options: {threads: 2}}
  big: {engine: vllm, model: meta/big, options: {tensor_parallel: 8, pipeline_parallel: 2}}
  hosted: {url: https://api.example.com/v1, key_env: HOSTED_KEY, headers: {X-Team: "${TEAM:-a}"}}
models:
  assistant: {pool: [{upstream: chat, model: ./m.gguf}, hosted]}
  large: {pool: [{upstream: big, model: meta/big}]}
guard: default
"""
Render = Callable[..., dict[str, Any]]


@pytest.fixture
def gateway_file(tmp_path: Path) -> Path:
    path = tmp_path / "gateway.yaml"
    path.write_text(GATEWAY)
    return path


@pytest.fixture
def rendered(gateway_file: Path) -> Render:
    """Path -> its text, or the objects of a manifest."""

    def run(text: str | None = None, **fields: Any) -> dict[str, Any]:
        if text is not None:
            gateway_file.write_text(text)
        recipe = RenderRecipe(config=str(gateway_file), **fields)
        return {name: raw.decode() for name, raw in render(recipe).files.items()}

    return run


def objects(files: dict[str, str], below: str = "manifests/") -> dict[tuple[str, str], Any]:
    """(kind, name) -> object."""
    found = {}
    for name, text in files.items():
        if name.startswith(below) and not name.endswith("kustomization.yaml"):
            for value in yaml.safe_load_all(text):
                found[value["kind"], value["metadata"]["name"]] = value
    return found
