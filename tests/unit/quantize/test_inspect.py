"""What is no model is said to be none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from llmops_cli.core.errors import UsageError
from llmops_cli.quantize.inspect import inspect


def test_a_folder_without_weights_is_no_model(tmp_path: Path) -> None:
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UsageError, match=r"has a config\.json and no weights"):
        inspect(tmp_path)
