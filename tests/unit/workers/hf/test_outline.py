"""Weights that do not fit their model are found by headers alone, by Transformers' own rules."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("transformers", reason="transformers is not installed")

import torch
from safetensors.torch import load_file, save_file

from _shared.protocol import JobError
from hf.outline import outline_of, require_whole
from tests.expert_models import MODELS, write_model

UP = "model.layers.1.mlp.up_proj.weight"
EXPERT = "model.layers.1.block_sparse_moe.experts.2.w1.weight"


def changed(folder: Path, tensors: dict[str, Any]) -> Path:
    """The model with these tensors instead of its own; None removes one."""
    path = folder / "model.safetensors"
    found = {**load_file(path), **tensors}
    kept = {name: tensor for name, tensor in found.items() if tensor is not None}
    save_file(kept, path, metadata={"format": "pt"})
    return folder


def with_config(folder: Path, **fields: Any) -> Path:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))
    return folder


@pytest.mark.parametrize("model_type", MODELS)
def test_a_whole_model_is_whole_and_nothing_of_it_is_loaded(
    model_type: str, tmp_path: Path
) -> None:
    folder = write_model(tmp_path, model_type)
    outline = outline_of(folder)
    require_whole(outline, folder)
    assert {parameter.device.type for parameter in outline.model.parameters()} == {"meta"}


@pytest.mark.parametrize(
    ("model_type", "tensors", "told"),
    [
        ("llama", {UP: None}, UP),
        ("mixtral", {EXPERT: None}, EXPERT),
        ("llama", {"model.norm.weight": torch.zeros(32)}, "model.norm.weight"),
        ("llama", {"model.layers.7.mlp.up_proj.weight": torch.zeros(4, 4)}, "model.layers.7"),
        ("llama", {"lm_head.weight": None}, "lm_head.weight"),
    ],
    ids=["one less", "an expert less", "another size", "one more", "no output matrix"],
)
def test_what_does_not_fit_is_refused_by_name(
    model_type: str, tensors: dict[str, Any], told: str, tmp_path: Path
) -> None:
    folder = changed(write_model(tmp_path, model_type), tensors)
    with pytest.raises(JobError) as refused:
        require_whole(outline_of(folder), folder)
    assert refused.value.kind == "UsageError"
    assert told in refused.value.message


def test_constants_of_older_releases_are_no_weights(tmp_path: Path) -> None:
    relic = "transformer.h.0.attn.masked_bias"
    folder = changed(write_model(tmp_path, "gpt2"), {relic: torch.tensor(-1e4)})
    require_whole(outline_of(folder), folder)


def test_a_tied_output_matrix_need_not_be_there(tmp_path: Path) -> None:
    folder = changed(write_model(tmp_path, "llama"), {"lm_head.weight": None})
    with_config(folder, tie_word_embeddings=True)
    require_whole(outline_of(folder), folder)


def test_older_files_are_read_too(tmp_path: Path) -> None:
    folder = write_model(tmp_path, "llama")
    weights = folder / "model.safetensors"
    tensors = load_file(weights)
    del tensors[UP]
    torch.save(tensors, folder / "pytorch_model.bin")
    weights.unlink()
    assert outline_of(folder).missing == [UP]


def test_what_is_published_in_few_bits_is_judged_by_what_it_becomes(tmp_path: Path) -> None:
    folder = write_model(tmp_path, "gpt_oss")
    name = "model.layers.1.mlp.experts.down_proj"
    blocks = torch.zeros(4, 64, 4, 16, dtype=torch.uint8)
    scales = torch.zeros(4, 64, 4, dtype=torch.uint8)
    changed(folder, {name: None, f"{name}_blocks": blocks, f"{name}_scales": scales})
    with_config(folder, quantization_config={"quant_method": "mxfp4"})
    require_whole(outline_of(folder), folder)
    changed(folder, {f"{name}_blocks": blocks[:, :, :2].contiguous()})
    assert outline_of(folder).mismatched == [name]


def test_a_model_that_transformers_does_not_know_is_refused(tmp_path: Path) -> None:
    folder = with_config(write_model(tmp_path, "llama"), model_type="nobody_knows")
    with pytest.raises(JobError, match="nobody_knows"):
        outline_of(folder)
