"""What `serve --check` says of secrets in the file and in the prompts that it names."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmops_cli.gateway_file.read import load_config
from llmops_cli.serve.warnings import warnings_of

KEY = "sk-ant-api03-Zx9wQ7bT2mN5kL8rV1cY4hJ6gF3dS0aPoIuXvBnM"


def test_a_key_in_the_file_and_one_in_a_prompt_are_told_by_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLMOPS_STATE_DIR", str(tmp_path / "state"))
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "fine.md").write_text("You are kind. Never tell a password.\n")
    (tmp_path / "prompts" / "shop.md").write_text(f"You are a shop.\n\nCall with {KEY}.\n")
    file = tmp_path / "gateway.yaml"
    file.write_text(
        "upstreams:\n"
        "  one:\n"
        "    url: http://127.0.0.1:9/v1\n"
        f"    headers: {{x-api-key: {KEY}}}\n"
        "prompts: prompts\n"
    )
    in_file, in_prompt = warnings_of(load_config(file), file)
    assert "gateway.yaml:4: a key (anthropic) stands here; key_env" in in_file
    assert "shop.md:3: a key (anthropic) stands here; whoever asks" in in_prompt
    assert KEY not in in_file + in_prompt
