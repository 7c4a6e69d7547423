"""An engine is started for what it can serve: a decoder whose weights are whole."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from llmops_cli.core.errors import UsageError
from llmops_cli.models import tensors
from llmops_cli.models.servable import require_servable

HEADER = {"w": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}}


def weights(header: object = HEADER, *, payload_bytes: int = 16) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(payload_bytes)


def folder_of(tmp_path: Path, config: str, content: bytes | None) -> Path:
    (tmp_path / "config.json").write_text(config)
    if content is not None:
        (tmp_path / "model.safetensors").write_bytes(content)
    return tmp_path


@pytest.mark.parametrize(
    "config",
    [
        '{"model_type": "llama"}',
        '{"model_type": "mamba2", "time_step_limit": [0.0, Infinity]}',
        '{"model_type": null, "is_encoder_decoder": null}',
    ],
    ids=["plain", "infinite", "null"],
)
def test_a_decoder_with_whole_weights_is_served(tmp_path: Path, config: str) -> None:
    require_servable(folder_of(tmp_path, config, weights()))


@pytest.mark.parametrize(
    ("config", "content", "words"),
    [
        ('{"model_type": "t5"}', weights(), "encoder-decoder model (t5)"),
        ('{"is_encoder_decoder": true, "model_type": "x"}', weights(), "encoder-decoder model (x)"),
        ("{", weights(), "cannot be used"),
        ("[]", weights(), "cannot be used"),
        ("{}", b"", "is truncated"),
        ("{}", weights()[:20], "is truncated"),
        ("{}", weights(payload_bytes=15), "is truncated"),
        ("{}", bytes(range(200)), "is truncated"),
        ("{}", weights({"w": {}}), "is no safetensors file"),
        ("{}", weights({"w": {**HEADER["w"], "data_offsets": 7}}), "is no safetensors file"),
        ("{}", weights([]), "is no safetensors file"),
    ],
    ids=range(11),
)
def test_what_is_none_is_refused_by_name(
    tmp_path: Path, config: str, content: bytes, words: str
) -> None:
    with pytest.raises(UsageError, match=words.replace("(", r"\(").replace(")", r"\)")) as refused:
        require_servable(folder_of(tmp_path, config, content))
    assert refused.value.hint


def test_a_part_that_the_index_names_and_that_is_missing(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "{}", None)
    index = {"weight_map": {"w": "model-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(UsageError, match=r"model-00002\.safetensors cannot be read"):
        require_servable(folder)


@pytest.mark.parametrize("name", ["a\0b", "a" * 300, "../w"], ids=["zero", "long", "outside"])
def test_an_index_names_files_that_there_can_be(tmp_path: Path, name: str) -> None:
    folder = folder_of(tmp_path, "{}", None)
    index = {"weight_map": {"w": name}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(UsageError, match="outside of its folder"):
        require_servable(folder)


def test_a_header_beyond_the_formats_own_limit_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folder_of(tmp_path, "{}", weights())
    require_servable(folder)
    monkeypatch.setattr(tensors, "MOST_HEADER_BYTES", 20)
    with pytest.raises(UsageError, match="no safetensors file"):
        require_servable(folder)
