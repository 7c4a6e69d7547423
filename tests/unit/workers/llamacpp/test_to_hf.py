"""The way back from GGUF: what a file tells oddly is read as llama.cpp reads it, or refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gguf", reason="gguf is not installed")

import numpy as np

from _shared.protocol import Events, JobError
from _shared.safetensors import open_model
from llamacpp.gguf_file import GgufFile
from llamacpp.hf_config import config_of
from llamacpp.hf_tokenizer import tokenizer_config_of, tokenizer_of
from llamacpp.to_hf import work
from tests.small_gguf import arrays, file_with


def config_with(tmp_path: Path, **change: Any) -> dict[str, Any]:
    return config_of(GgufFile(file_with(tmp_path / "m.gguf", **change)))


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({}, {"rope_type": "default"}),
        ({"llama__rope__scaling__factor": 4.0}, {"rope_type": "linear", "factor": 4.0}),
        ({"llama__rope__scale_linear": 2.0}, {"rope_type": "linear", "factor": 2.0}),
        ({"llama__rope__scale_linear": 0.0}, {"rope_type": "default"}),
        (
            {"llama__rope__scaling__type": "none", "llama__rope__scaling__factor": 4.0},
            {"rope_type": "default"},
        ),
    ],
    ids=["nothing", "a factor alone", "the old key", "zero", "none"],
)
def test_a_scaling_is_read_as_llama_cpp_reads_it(
    tmp_path: Path, keys: dict[str, Any], expected: dict[str, Any]
) -> None:
    found = config_with(tmp_path, **keys)["rope_parameters"]
    assert found == {**expected, "rope_theta": 10000.0}


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"tokenizer__ggml__tokens": None}, "no list of tokens"),
        ({"llama__attention__head_count_kv": [1, 2]}, "head_count_kv is \\[1, 2\\]"),
        ({"llama__feed_forward_length": [64]}, "feed_forward_length is"),
        ({"llama__attention__head_count": 0}, "head_count is 0"),
        ({"llama__embedding_length": "wide"}, "embedding_length is 'wide'"),
        ({"llama__embedding_length": 128}, "token_embd.weight has shape"),
        ({"llama__attention__head_count_kv": 1}, "attn_k.weight has shape"),
        ({"llama__block_count": 2}, "lacks 9 tensors, such as that of model.layers.1"),
        ({"llama__block_count": 4_000_000_000}, "llama.cpp ends at 512"),
        ({"llama__rope__scaling__type": "yarn"}, "rope scaling"),
        ({"tokenizer__ggml__token_type": [1]}, "types of its 5 tokens"),
        ({"tokenizer__ggml__scores": None}, "scores of its 5 tokens"),
    ],
    ids=str,
)
def test_what_has_no_way_back_is_refused_by_name(
    tmp_path: Path, keys: dict[str, Any], message: str
) -> None:
    file = file_with(tmp_path / "m.gguf", **keys)
    with pytest.raises(JobError, match=message) as refused:
        work({"model": str(file), "output": str(tmp_path / "out")}, Events(None))
    assert refused.value.kind == "UsageError"


def test_a_number_beyond_the_vocabulary_is_no_token(tmp_path: Path) -> None:
    nothing = 2**32 - 1
    keys = {
        "tokenizer__ggml__padding_token_id": nothing,
        "tokenizer__ggml__bos_token_id": nothing,
        "tokenizer__ggml__unknown_token_id": nothing,
    }
    file = GgufFile(file_with(tmp_path / "m.gguf", **keys))
    config = config_of(file)
    assert (config["bos_token_id"], config["eos_token_id"]) == (1, 2)
    assert config["pad_token_id"] is None
    fields = tokenizer_config_of(file)
    assert "pad_token" not in fields
    assert fields["bos_token"] == "<s>"
    assert tokenizer_of(file)["model"]["unk_token"] == "<unk>"


def test_all_chat_templates_come_back(tmp_path: Path) -> None:
    one = {"tokenizer__chat_template": "A"}
    file = GgufFile(file_with(tmp_path / "one.gguf", **one))
    assert tokenizer_config_of(file)["chat_template"] == "A"
    named = {
        **one,
        "tokenizer__chat_templates": ["tool_use", "rag"],
        "tokenizer__chat_template__tool_use": "B",
        "tokenizer__chat_template__rag": "C",
    }
    file = GgufFile(file_with(tmp_path / "several.gguf", **named))
    assert tokenizer_config_of(file)["chat_template"] == [
        {"name": "default", "template": "A"},
        {"name": "rag", "template": "C"},
        {"name": "tool_use", "template": "B"},
    ]


def folder_of(tmp_path: Path, tensors: dict[str, np.ndarray]) -> tuple[str, dict[str, Any]]:
    """What the folder is loaded as, and its tensors by name."""
    file = file_with(tmp_path / "m.gguf", tensors)
    work({"model": str(file), "output": str(tmp_path / "out")}, Events(None))
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    return config["torch_dtype"], dict(open_model(tmp_path / "out"))


def test_a_float_matrix_keeps_its_own_type(tmp_path: Path) -> None:
    tensors = arrays()
    up = "blk.0.ffn_up.weight"
    tensors[up] = tensors[up].astype(np.float32) + np.float32(1e-6)
    dtype, found = folder_of(tmp_path, tensors)
    assert dtype == "float16"
    wide = found["model.layers.0.mlp.up_proj.weight"]
    assert wide.dtype == "F32"
    (values,) = wide.read_blocks()
    assert np.array_equal(values, tensors[up])
    assert found["model.layers.0.mlp.gate_proj.weight"].dtype == "F16"


def test_what_f16_cannot_hold_is_loaded_as_float32(tmp_path: Path) -> None:
    tensors = arrays()
    up = "blk.0.ffn_up.weight"
    tensors[up] = tensors[up].astype(np.float32)
    tensors[up][0, 0] = 1e6
    dtype, found = folder_of(tmp_path, tensors)
    assert dtype == "float32"
    (values,) = found["model.layers.0.mlp.up_proj.weight"].read_blocks()
    assert values[0, 0] == 1e6


@pytest.mark.parametrize("kind", [np.float16, np.float32])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_tensor_without_numbers_is_refused(
    tmp_path: Path, kind: type[np.floating[Any]], value: float
) -> None:
    tensors = arrays()
    name = "blk.0.ffn_up.weight"
    tensors[name] = tensors[name].astype(kind)
    tensors[name][0, 1] = value
    path = file_with(tmp_path / "m.gguf", tensors=tensors)
    with pytest.raises(JobError, match=f"{name} has NaN or infinite"):
        work({"model": str(path), "output": str(tmp_path / "hf")}, Events(None))
