"""Bits a weight come from shapes and bytes, whatever the folder says of itself."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from llmops_cli.core.errors import UsageError
from llmops_cli.models.tensors import TensorInfo, tensors_of
from llmops_cli.models.weight_count import bits_per_weight

Entry = tuple[str, str, tuple[int, ...], int]
NORM: Entry = ("norm.weight", "F16", (8,), 16)


def of(*entries: Entry, whole_shape: tuple[int, ...] = ()) -> float | None:
    return bits_per_weight([TensorInfo(*entry, whole_shape) for entry in entries])


@pytest.mark.parametrize(
    ("entries", "bits"),
    [
        ([("m.weight", "F16", (8, 8), 128), NORM], 16),
        ([("m.weight", "I8", (8, 8), 64), ("m.weight_scale", "F32", (8, 1), 32)], 12),
        ([("m.weight", "I8", (8, 8), 64), ("m.SCB", "F32", (8,), 32)], 12),
        ([("m.weight", "U8", (32, 1), 32), ("m.weight.absmax", "F32", (1,), 4)], 4.5),
        (
            [
                ("m.weight", "U8", (32, 1), 32),
                ("m.weight.absmax", "U8", (1,), 1),
                ("m.weight.quant_state.bitsandbytes__nf4", "U8", (3,), 3),
            ],
            4.5,
        ),
        (
            [
                ("m.qweight", "I32", (1, 8), 32),
                ("m.scales", "F16", (1, 8), 16),
                ("m.qzeros", "I32", (1, 1), 4),
                ("m.g_idx", "I32", (8,), 32),
            ],
            84 * 8 / 64,
        ),
        ([("m.qweight", "I32", (8, 1), 32), ("m.scales", "F16", (1, 8), 16)], 6),
        ([("m.weight_packed", "U8", (8, 4), 32), ("m.weight_scale", "F8_E4M3", (8, 1), 8)], 5),
        (
            [("m.gate_up_proj_blocks", "U8", (2, 4, 16), 128), ("m.gate_scales", "U8", (2, 4), 8)],
            4.25,
        ),
        ([("m.qweight", "I32", (1, 8), 32)], None),
        ([("m.weight", "U8", (32, 1), 32)], None),
        ([("m.codes", "I32", (32, 1), 128)], None),
        ([], None),
    ],
    ids=str,
)
def test_bits_of_known_forms(entries: list[Entry], bits: float | None) -> None:
    assert of(*entries) == bits


def test_a_packed_matrix_has_the_shape_that_lies_beside_it(tmp_path: Path) -> None:
    header = {
        "m.weight_packed": {"dtype": "I32", "shape": [3, 1], "data_offsets": [0, 12]},
        "m.weight_shape": {"dtype": "I64", "shape": [2], "data_offsets": [12, 28]},
    }
    text = json.dumps(header).encode()
    content = struct.pack("<Q", len(text)) + text + bytes(12) + struct.pack("<qq", 3, 7)
    (tmp_path / "model.safetensors").write_bytes(content)
    assert bits_per_weight(tensors_of(tmp_path)) == 28 * 8 / 21
    (tmp_path / "model.safetensors").write_bytes(content[:-8])
    with pytest.raises(UsageError, match="is truncated"):
        tensors_of(tmp_path)


@pytest.mark.parametrize(
    "entry",
    [
        [],
        {"dtype": 3, "shape": [2], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [1], "data_offsets": [-9, 4]},
        {"dtype": "F32", "shape": [1], "data_offsets": [0]},
        {"dtype": "F32", "shape": None, "data_offsets": [0, 4]},
    ],
    ids=str,
)
def test_a_list_of_tensors_that_is_none_is_told(tmp_path: Path, entry: object) -> None:
    text = json.dumps({"m": entry}).encode()
    (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + bytes(8))
    with pytest.raises(UsageError, match="is no safetensors file"):
        tensors_of(tmp_path)


@pytest.mark.parametrize(
    "index", [b'{"weight_map": {"a": "../b"}}', b'{"weight_map": {"a": 3}}', b"\xe9", b"[]"]
)
def test_an_index_that_is_none_is_told(tmp_path: Path, index: bytes) -> None:
    (tmp_path / "model.safetensors.index.json").write_bytes(index)
    with pytest.raises(UsageError, match=r"index\.json"):
        tensors_of(tmp_path)
