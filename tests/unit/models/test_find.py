"""What a folder is, whatever its config says of itself."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from llmops_cli.core.progress import Silent
from llmops_cli.models.find import find_model


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("gguf", "hf"),
        ("ct2", "hf"),
        ("remote", "hf"),
        (["gptq"], "hf"),
        (None, "hf"),
        ("gptq", "gptq"),
        ("compressed-tensors", "compressed-tensors"),
    ],
    ids=str,
)
def test_a_config_tells_of_a_quantizer_and_of_nothing_else(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    method: object,
    expected: str,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "model"
    folder.mkdir()
    config = {"architectures": ["X"], "quantization_config": {"quant_method": method}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", 2) + b"{}")
    assert find_model(str(folder), progress=Silent()).format == expected
