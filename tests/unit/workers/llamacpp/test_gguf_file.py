"""A GGUF model in parts has the tensors of all, and the keys of the first."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("gguf", reason="gguf is not installed")

from llamacpp.gguf_file import GgufFile
from tests.gguf_bytes import split


def test_all_parts_are_read(tmp_path: Path) -> None:
    first, *_ = split(tmp_path, 3)
    found = GgufFile(first)
    assert found.architecture == "llama"
    assert sorted(found.tensors) == [f"blk.{number}.attn_q.weight" for number in range(3)]
