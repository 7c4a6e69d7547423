"""Broken model folders are the user's to mend, and are told as that."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from llmops_cli.core.errors import UsageError
from llmops_cli.models.config import architectures_of, context_of, read_config
from llmops_cli.models.tensors import kind_of, tensors_of


@pytest.mark.parametrize("raw", [b"", b"[]", b'{"a": ', b"\xff"])
def test_a_broken_config_is_told(raw: bytes, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(raw)
    with pytest.raises(UsageError, match=r"config\.json is not JSON"):
        read_config(tmp_path)


def test_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"has no config\.json"):
        read_config(tmp_path)


def test_a_folder_in_its_place_is_told(tmp_path: Path) -> None:
    (tmp_path / "config.json").mkdir()
    with pytest.raises(UsageError, match="cannot be read"):
        read_config(tmp_path)


@pytest.mark.parametrize(
    ("named", "found"),
    [(["A", "B"], ["A", "B"]), ([5, "B"], ["B"]), ("A", []), (5, []), (None, []), ({}, [])],
    ids=str,
)
def test_architectures_are_a_list_of_texts(named: object, found: list[str]) -> None:
    assert architectures_of({"architectures": named}) == found


def test_the_text_part_of_a_multimodal_model_counts(tmp_path: Path) -> None:
    config = b'{"text_config": {"max_position_embeddings": 4096}}'
    (tmp_path / "config.json").write_bytes(config)
    assert context_of(tmp_path) == 4096


@pytest.mark.parametrize("raw", [b"", b"{}", b'{"weight_map": 3}', b'{"weight'])
def test_a_broken_index_of_tensors_is_told(raw: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors.index.json").write_bytes(raw)
    with pytest.raises(UsageError, match="no index of tensors"):
        tensors_of(tmp_path)


@pytest.mark.parametrize("raw", [b"", b"\1\0\0", b"\xff" * 8, b"\2\0\0\0\0\0\0\0[]"])
def test_a_broken_file_of_tensors_is_told(raw: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(raw)
    with pytest.raises(UsageError):
        tensors_of(tmp_path)


def test_names_tell_what_tensors_are_for() -> None:
    assert kind_of("model.embed_tokens.weight") == "embeddings"
    assert kind_of("output.weight") == "lm_head"
    assert kind_of("model.layers.0.mlp.gate_proj.weight") == "mlp"
    assert kind_of("strange") == "other"


def test_a_pipe_in_the_place_of_weights_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "model.safetensors")
    with pytest.raises(UsageError, match="is no file"):
        tensors_of(tmp_path)
