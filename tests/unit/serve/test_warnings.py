"""Names of keys in a gateway's file, and of models at keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmops_cli.gateway_file.read import load_config
from llmops_cli.serve.accounts.keys import KeyStore
from llmops_cli.serve.warnings import warnings_of

TEXT = """
upstreams:
  one: {url: http://127.0.0.1:9/v1}
models:
  a:
    pool: [one]
    adapters: [lora]
    rules:
    - {keys: [team, taem, gone], use: [one]}
"""


def test_names_that_are_not_there_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMOPS_STATE_DIR", str(tmp_path / "state"))
    file = tmp_path / "gateway.yaml"
    file.write_text(TEXT)
    config = load_config(file)
    first, _, third = warnings_of(config, file)
    assert first.endswith("keys.0: there is no key team here yet; llmops keys create --name team")
    assert "no key gone" in third
    assert not (tmp_path / "state").exists(), "a check makes nothing"
    store = KeyStore(tmp_path / "state")
    store.create("team", models=["a", "lora", "old"])
    store.create("gone")
    store.revoke("gone")
    taem, gone, old = warnings_of(config, file)
    assert "gateway.yaml:9: models.a.rules.0.keys.1: unknown key 'taem'" in taem
    assert "did you mean 'team'" in taem
    assert "unknown key 'gone'" in gone
    assert old == "key team may use old, which is no model of this file"


def test_prompts_of_keys_that_are_not_there_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLMOPS_STATE_DIR", str(tmp_path / "state"))
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts/support.md").write_text("user:\nHi {{name}}\n")
    file = tmp_path / "gateway.yaml"
    file.write_text("upstreams: {one: {url: http://127.0.0.1:9/v1}}\nprompts: prompts\n")
    KeyStore(tmp_path / "state").create("team", prompts=["support", "sales"])
    told = "key team may use sales, which is no prompt of this file"
    assert warnings_of(load_config(file), file) == [told]


def test_models_of_keys_and_tags_are_looked_for_where_engines_say_which_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without `models:`, what the file starts is all that there is."""
    monkeypatch.setenv("LLMOPS_STATE_DIR", str(tmp_path / "state"))
    file = tmp_path / "gateway.yaml"
    file.write_text("upstreams: {one: {engine: llamacpp, model: demo}}\ntags: [team, tema]\n")
    KeyStore(tmp_path / "state").create("me", models=["demo", "dmeo"], tags={"team": "search"})
    tag, model = warnings_of(load_config(file), file)
    assert tag == f"{file}:2: tags.1: no key here has the tag tema; --tag tema=VALUE"
    assert model == "key me may use dmeo, which is no model of this file"
