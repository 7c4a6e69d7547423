"""Weights in safetensors files, whole or in several."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")
import torch
from safetensors.torch import load_file

from train.ranks import Ranks
from train.weights_file import header, plan, save_config, save_weights
from train.weights_reader import WeightsReader

ALONE = Ranks(0, 1, 0, torch.device("cpu"))


def weights() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {
        "model.a.weight": torch.randn(3, 5),
        "model.b.weight": torch.randn(7),
        "counts": torch.arange(4),
    }


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_one_file_is_what_safetensors_reads(tmp_path: Path, dtype: torch.dtype) -> None:
    save_weights(weights(), tmp_path, ALONE, dtype=dtype)
    found = load_file(tmp_path / "model.safetensors")
    assert torch.equal(found["model.a.weight"], weights()["model.a.weight"].to(dtype))
    assert torch.equal(found["counts"], torch.arange(4))


def test_several_files_have_an_index(tmp_path: Path) -> None:
    save_weights(weights(), tmp_path, ALONE, file_bytes=64)
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    assert index["metadata"]["total_size"] == 60 + 28 + 32
    assert index["weight_map"]["model.b.weight"] == "model-00002-of-00002.safetensors"
    found = load_file(tmp_path / index["weight_map"]["model.b.weight"])
    assert torch.equal(found["model.b.weight"], weights()["model.b.weight"])


def test_writers_take_turns() -> None:
    files = plan(weights(), world_size=2, dtype=None, file_bytes=1)
    assert [file.writer for file in files] == [0, 1, 0]
    assert [file.tensors for file in files] == [(name,) for name in weights()]


def test_headers_are_aligned() -> None:
    raw = header(("counts",), weights(), None)
    assert len(raw) % 8 == 0
    assert int.from_bytes(raw[:8], "little") == len(raw) - 8


def test_slices_are_read_under_other_prefixes(tmp_path: Path) -> None:
    save_weights(weights(), tmp_path, ALONE)
    reader = WeightsReader.of(tmp_path, ["a.weight", "model.b.weight"])
    assert reader is not None
    piece = reader.read("a.weight", (slice(1, 3), slice(0, 5)))
    assert torch.equal(piece, weights()["model.a.weight"][1:3])
    assert WeightsReader.of(tmp_path, ["c.weight"]) is None


def test_a_folder_tells_its_architecture(tmp_path: Path) -> None:
    """Also of a class that was derived from Transformers', as FSDP does."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=16,
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
    )
    derived = type("FSDPLlamaForCausalLM", (LlamaForCausalLM,), {})
    for number, kind in enumerate((LlamaForCausalLM, derived)):
        folder = tmp_path / str(number)
        save_config(kind(config), folder, torch.bfloat16)
        saved = json.loads((folder / "config.json").read_text())
        assert saved["architectures"] == ["LlamaForCausalLM"]
        assert saved["use_cache"]
