"""A folder of few bits is known by any sign of it, and an adapter is no model."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from llmops_cli.core.errors import UsageError
from llmops_cli.core.progress import Silent
from llmops_cli.models.find import find_model
from llmops_cli.models.quantized import quantization_of, refuse_adapter


def folder_with(path: Path, config: dict[str, Any], **tensors: str) -> Path:
    """A model folder with these tensors, each of one value and of the type that is told."""
    header = {}
    for name, dtype in tensors.items():
        header[name.replace("__", ".")] = {"dtype": dtype, "shape": [1], "data_offsets": [0, 1]}
    raw = json.dumps(header).encode()
    (path / "config.json").write_text(json.dumps(config))
    (path / "model.safetensors").write_bytes(struct.pack("<Q", len(raw)) + raw + b"\0" * 8)
    return path


def test_plain_weights_are_plain(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, {"quantization_config": None}, lm_head__weight="BF16")
    assert quantization_of(folder) is None


@pytest.mark.parametrize(
    ("config", "method"),
    [
        ({"quantization_config": {"quant_method": "gptq"}}, "gptq"),
        ({"quantization_config": {"quant_method": "fp8"}}, "fp8"),
        ({"text_config": {"quantization_config": {"quant_method": "mxfp4"}}}, "mxfp4"),
        ({"compression_config": {"format": "pack-quantized"}}, "pack-quantized"),
        ({"quantization_config": {"load_in_4bit": True}}, "unknown"),
    ],
)
def test_a_config_tells(config: dict[str, Any], method: str, tmp_path: Path) -> None:
    found = quantization_of(folder_with(tmp_path, config, lm_head__weight="BF16"))
    assert found is not None
    assert found.method == method
    assert found.is_readable == (method in ("fp8", "mxfp4"))


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("model__q_proj__qweight", "I32"),
        ("model__q_proj__weight_packed", "I32"),
        ("model__q_proj__weight", "F8_E4M3"),
        ("model__experts__down_proj_blocks", "U8"),
        ("model__q_proj__weight_scale_inv", "F32"),
        ("model__q_proj__SCB", "F32"),
    ],
)
def test_tensors_tell_where_the_config_does_not(name: str, dtype: str, tmp_path: Path) -> None:
    found = quantization_of(folder_with(tmp_path, {}, **{name: dtype}))
    assert found is not None
    assert name.split("__")[-1].split("_")[-1] in found.sign


@pytest.mark.parametrize("name", ["quantize_config.json", "quant_config.json"])
def test_a_file_beside_the_config_tells(name: str, tmp_path: Path) -> None:
    folder_with(tmp_path, {}, lm_head__weight="BF16")
    (tmp_path / name).write_text("{}")
    found = quantization_of(tmp_path)
    assert found is not None
    assert found.sign == name


def test_an_adapter_is_refused_with_the_model_that_it_is_for(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text('{"base_model_name_or_path": "org/base"}')
    with pytest.raises(UsageError, match="LoRA adapter of org/base"):
        find_model(str(tmp_path), progress=Silent())
    (tmp_path / "config.json").write_text("{}")
    for odd in (b"", b"[]", b'{"base_model_name_or_path": "\xff"}', b"[" * 100_000):
        (tmp_path / "adapter_config.json").write_bytes(odd)
        with pytest.raises(UsageError, match="LoRA adapter of the model that it was trained on"):
            refuse_adapter(tmp_path)
