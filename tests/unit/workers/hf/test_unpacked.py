"""Weights that unpack to bfloat16 are computed with others of that type."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hf.unpacked import dtype_of


@pytest.mark.parametrize(
    ("config", "wanted", "dtype"),
    [
        ({"quantization_config": {"format": "mxfp4-pack-quantized"}}, "auto", "bfloat16"),
        ({"quantization_config": {"format": "nvfp4-pack-quantized"}}, "auto", "bfloat16"),
        ({"quantization_config": {"format": "nvfp4-pack-quantized"}}, "float32", "float32"),
        ({"quantization_config": {"format": "pack-quantized"}}, "auto", "auto"),
        ({"quantization_config": None}, "auto", "auto"),
        ({}, "auto", "auto"),
    ],
)
def test_what_is_asked_for_stays_but_for_what_unpacks_otherwise(
    tmp_path: Path, config: dict[str, object], wanted: str, dtype: str
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert dtype_of(str(tmp_path), wanted) == dtype


def test_a_folder_without_a_config_is_left_to_transformers(tmp_path: Path) -> None:
    assert dtype_of(str(tmp_path)) == "auto"
