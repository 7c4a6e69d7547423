"""Blocks of rows add up to the tensor, and a file that is cut is refused."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest

import _shared.safetensors as ours
from _shared.protocol import JobError


def write(path: Path, **arrays: np.ndarray) -> None:
    header = {}
    offset = 0
    for name, array in arrays.items():
        kind = {"float64": "F64", "float32": "F32", "float16": "F16"}[str(array.dtype)]
        end = offset + array.nbytes
        header[name] = {"dtype": kind, "shape": array.shape, "data_offsets": [offset, end]}
        offset = end
    raw = json.dumps(header).encode()
    body = b"".join(array.tobytes() for array in arrays.values())
    path.write_bytes(struct.pack("<Q", len(raw)) + raw + body)


@pytest.mark.parametrize("multiple", [1, 3])
def test_blocks_of_whole_rows_add_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, multiple: int
) -> None:
    matrix = np.arange(60, dtype=np.float32).reshape(12, 5)
    vector = np.arange(7, dtype=np.float16)
    write(tmp_path / "model.safetensors", matrix=matrix, vector=vector)
    monkeypatch.setattr(ours, "BLOCK_BYTES", 90)
    tensors = ours.open_model(tmp_path)
    blocks = list(tensors["matrix"].read_blocks(rows_multiple=multiple))
    assert len(blocks) > 1
    assert all(len(block) % multiple == 0 for block in blocks)
    assert np.array_equal(np.concatenate(blocks), matrix)
    (whole,) = tensors["vector"].read_blocks()
    assert np.array_equal(whole, vector)


def test_bf16_becomes_f32() -> None:
    raw = bytearray(np.array([0x3F80, 0xC000], np.uint16).tobytes())
    assert ours.to_float(raw, "BF16").tolist() == [1.0, -2.0]


def test_f64_becomes_f32_as_transformers_reads_it(tmp_path: Path) -> None:
    values = np.array([[1 / 3, 1e30], [-2.0, 1e-50]])
    write(tmp_path / "model.safetensors", matrix=values)
    (block,) = ours.open_model(tmp_path)["matrix"].read_blocks()
    assert block.dtype == np.float32
    assert np.array_equal(block, values.astype(np.float32))


def test_a_cut_file_is_refused_wherever_it_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    write(path, matrix=np.ones((4, 4), np.float32))
    whole = path.read_bytes()
    for size in (4, 40, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(JobError, match="is truncated"):
            ours.open_model(tmp_path)
    path.unlink()
    with pytest.raises(JobError, match="weights missing"):
        ours.open_model(tmp_path)


def test_the_single_file_goes_before_shards_as_in_transformers(tmp_path: Path) -> None:
    write(tmp_path / "model.safetensors", matrix=np.ones(4, np.float32))
    write(tmp_path / "model-00001-of-00001.safetensors", other=np.zeros(4, np.float32))
    index = {"weight_map": {"other": "model-00001-of-00001.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    assert list(ours.open_model(tmp_path)) == ["matrix"]
    (tmp_path / "model.safetensors").unlink()
    assert list(ours.open_model(tmp_path)) == ["other"]


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ({"weight_map": {"a": "../outside.safetensors"}}, "outside of its folder"),
        ({"weight_map": {"a": "in\0side.safetensors"}}, "outside of its folder"),
        ({"weight_map": {"a": "a" * 300}}, "outside of its folder"),
        ({"weight_map": None}, "no index of tensors"),
        ({"weight_map": ["a"]}, "no index of tensors"),
        ([], "no index of tensors"),
        ({"weight_map": {"a": 5}}, "shard missing"),
    ],
    ids=["outside", "zero", "long", "null", "list", "no-object", "number"],
)
def test_an_index_that_is_none_is_refused(tmp_path: Path, index: object, message: str) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(JobError, match=message):
        ours.open_model(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data_offsets": [0, 8]}, "8 bytes are no F32"),
        ({"data_offsets": [16, 32]}, "is truncated"),
        ({"data_offsets": [-16, 0]}, "no safetensors file"),
        ({"data_offsets": None}, "no safetensors file"),
        ({"shape": ["4"]}, "no safetensors file"),
        ({"shape": [1 << 62]}, "16 bytes are no F32"),
        ({"dtype": ["F32"]}, "no safetensors file"),
        ({"shape": [2], "data_offsets": [0, 8]}, "8 bytes follow its last tensor"),
        ({"shape": [2], "data_offsets": [8, 16]}, "leave a gap"),
    ],
    ids=str,
)
def test_places_that_cannot_be_true_are_refused(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    entry = {"dtype": "F32", "shape": [4], "data_offsets": [0, 16], **change}
    raw = json.dumps({"matrix": entry}).encode()
    path = tmp_path / "model.safetensors"
    path.write_bytes(struct.pack("<Q", len(raw)) + raw + bytes(16))
    with pytest.raises(JobError, match=message):
        ours.open_model(tmp_path)


def test_a_header_beyond_the_formats_own_limit_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "model.safetensors", matrix=np.ones((4, 4), np.float32))
    assert ours.MOST_HEADER_BYTES == 100_000_000
    monkeypatch.setattr(ours, "MOST_HEADER_BYTES", 20)
    with pytest.raises(JobError, match="no safetensors file"):
        ours.open_model(tmp_path)


@pytest.mark.parametrize("header", [b"[1]", b"null", b"[" * 100_000], ids=["list", "null", "deep"])
def test_a_header_that_is_no_object_is_refused(tmp_path: Path, header: bytes) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    with pytest.raises(JobError, match="no safetensors file"):
        ours.open_model(tmp_path)
