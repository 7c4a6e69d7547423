"""A file's F16 tensors are looked through for what F16 does not hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("gguf", reason="gguf is not installed")

import gguf

from llamacpp.written import figures_of, tensors_beyond_f16, wide_without_numbers


def test_infinite_values_are_found_in_f16_and_apart_in_wider_types(tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    fine = np.full((4, 8), 65504.0)
    odd = fine.copy()
    odd[3, 7] = np.inf
    none = fine.copy()
    none[0, 0] = np.nan
    writer.add_tensor("fine", fine.astype(np.float16))
    writer.add_tensor("odd", odd.astype(np.float16))
    writer.add_tensor("none", none.astype(np.float16))
    writer.add_tensor("wide", odd.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    assert tensors_beyond_f16(path) == ["odd", "none"]
    assert wide_without_numbers(path) == ["wide"]
    assert figures_of(path) == {"parameters": 128, "tensor_bytes": 3 * 64 + 128}
