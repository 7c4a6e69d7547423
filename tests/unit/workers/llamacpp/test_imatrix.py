"""Importance matrices of both forms, those of another model, and files that are none."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")

import gguf

from _shared.protocol import JobError
from llamacpp.imatrix import importance_of, lacking_notice, read_imatrix
from tests.gguf_bytes import gguf as gguf_bytes


def matrix_file(path: Path, **sums_and_counts: tuple[list[list[float]], list[float]]) -> Path:
    """As llama-imatrix writes it: sums of squares by column and a count, of each expert."""
    writer = gguf.GGUFWriter(path, arch="")
    writer.add_type("imatrix")
    for name, (sums, counts) in sums_and_counts.items():
        tensor = name.replace("__", ".")
        writer.add_tensor(f"{tensor}.in_sum2", np.array(sums, np.float32))
        writer.add_tensor(f"{tensor}.counts", np.array(counts, np.float32).reshape(-1, 1))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_an_expert_that_no_text_reached_has_no_importance_of_zero(tmp_path: Path) -> None:
    sums = [[8.0, 2.0], [0.0, 0.0]]
    path = matrix_file(tmp_path / "m.gguf", blk__0__ffn_up_exps__weight=(sums, [4.0, 0.0]))
    (found,) = read_imatrix(path).values()
    assert found.tolist() == [2.0, 0.5, 1.0, 1.0]


def test_a_matrix_of_another_model_is_refused(tmp_path: Path) -> None:
    model = tmp_path / "model.gguf"
    model.write_bytes(gguf_bytes())
    own = matrix_file(tmp_path / "own.gguf", blk__0__attn_q__weight=([[1.0] * 4], [1.0]))
    assert importance_of({"model": str(model), "imatrix": None}) is None
    job = {"model": str(model), "imatrix": str(own)}
    assert list(importance_of(job) or {}) == ["blk.0.attn_q.weight"]
    other = matrix_file(tmp_path / "other.gguf", blk__9__wqkv__weight=([[1.0] * 4], [1.0]))
    with pytest.raises(JobError, match="is of another model") as refused:
        importance_of({**job, "imatrix": str(other)})
    assert refused.value.kind == "UsageError"


def test_tensors_that_a_matrix_does_not_know_are_told() -> None:
    entries = {"blk.0.attn_q.weight": np.ones(4, np.float32)}
    assert lacking_notice(entries, ["blk.0.attn_q.weight", "token_embd.weight"]) is None
    notice = lacking_notice(entries, ["blk.0.attn_q.weight", "blk.1.attn_q.weight"])
    assert notice is not None
    assert "1 of 2 tensors, such as blk.1.attn_q.weight" in notice.text


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
