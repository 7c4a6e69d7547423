"""llama.cpp's quantizer: what it could not do as asked is counted, and told."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")

import gguf
import numpy as np

from _shared.protocol import Events
from llamacpp.quantize import FLOATS, work
from tests.small_gguf import LAYER, WIDTH, file_with
from tests.unit.workers.llamacpp.test_imatrix import matrix_file


def test_every_tensor_that_took_another_type_is_counted(tmp_path: Path) -> None:
    """Rows of 64 have no type of blocks of 256. Embeddings that are a head too are never of one."""
    model = file_with(tmp_path / "m.gguf")
    output = tmp_path / "out.gguf"
    job = {"model": str(model), "scheme": "Q4_K_M", "output": str(output), "threads": 1}
    told = work(job, Events(None))
    types = [tensor.tensor_type.name for tensor in gguf.GGUFReader(output).tensors]
    quantized = [name for name in types if name not in FLOATS]
    assert len(quantized) >= len(LAYER)
    assert not any(name.endswith("_K") for name in quantized)
    assert told["fallback_tensors"] == len(quantized) - 1 == len(LAYER)
    assert told["notices"] == []


def test_tensors_without_an_entry_in_the_matrix_are_told(tmp_path: Path) -> None:
    model = file_with(tmp_path / "m.gguf")
    ones = (np.ones((1, WIDTH)).tolist(), [1.0])
    known = {f"blk__0__{name}__weight": ones for name in LAYER}
    whole = matrix_file(tmp_path / "whole.gguf", **known)
    known.pop("blk__0__ffn_down__weight")
    part = matrix_file(tmp_path / "part.gguf", **known)
    job = {"model": str(model), "scheme": "Q4_0", "threads": 1}
    told = work({**job, "imatrix": str(whole), "output": str(tmp_path / "a")}, Events(None))
    assert told["notices"] == []
    told = work({**job, "imatrix": str(part), "output": str(tmp_path / "b")}, Events(None))
    ((kind, text),) = (each.values() for each in told["notices"])
    assert kind == "matrix-lacks"
    assert "1 of 7 tensors, such as blk.0.ffn_down.weight" in text
