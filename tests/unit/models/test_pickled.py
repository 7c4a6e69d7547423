"""Which folders hold pickles that Transformers would read, and nothing before them."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmops_cli.models.pickled import is_pickled

BIN = "pytorch_model.bin"


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([BIN], True),
        (["pytorch_model.bin.index.json"], True),
        ([BIN, "consolidated.safetensors"], True),
        ([BIN, "adapter_model.safetensors"], True),
        ([BIN, "model.safetensors"], False),
        ([BIN, "model.safetensors.index.json"], False),
        (["model.safetensors"], False),
        ([], False),
    ],
    ids=str,
)
def test_pickles_are_read_where_nothing_goes_before_them(
    tmp_path: Path, names: list[str], expected: bool
) -> None:
    for name in names:
        (tmp_path / name).write_bytes(b"")
    assert is_pickled(tmp_path) is expected
