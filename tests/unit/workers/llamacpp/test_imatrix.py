"""llama.cpp's legacy importance matrices, and files that are none."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")

from _shared.protocol import JobError
from llamacpp.imatrix import read_imatrix


def test_a_legacy_file_gives_means(tmp_path: Path) -> None:
    name = b"blk.0.attn_q.weight"
    entry = struct.pack("<i", len(name)) + name + struct.pack("<ii2f", 4, 2, 8.0, 2.0)
    path = tmp_path / "imatrix.dat"
    path.write_bytes(struct.pack("<i", 1) + entry)
    assert {key: values.tolist() for key, values in read_imatrix(path).items()} == {
        name.decode(): [2.0, 0.5]
    }


@pytest.mark.parametrize("content", [b"", b"nothing of the kind", struct.pack("<i", 5)])
def test_a_file_that_is_none_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "imatrix.dat"
    path.write_bytes(content)
    with pytest.raises(JobError, match="is no importance matrix"):
        read_imatrix(path)
