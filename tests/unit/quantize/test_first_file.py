"""What weights have gone through before, and when a file is taken as it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from llmops_cli.core.artifact import Artifact
from llmops_cli.models.gguf.parts import read_gguf
from llmops_cli.models.provenance import record_beside
from llmops_cli.quantize.first_file import all_lossy_types, lossy_types_of, takes_file
from llmops_cli.quantize.recipe import QuantizeRecipe
from llmops_cli.quantize.variants import variants_of
from tests.gguf_bytes import Tensor, gguf


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"tensor_types": {"Q8_0": 1, "F32": 61, "Q4_1": 210}}, "Q4_1, Q8_0"),
        ({"tensor_types": {"BF16": 200, "F32": 61}}, ""),
        ({"tensor_types": ["Q4_1"]}, ""),
        ("Q4_1", ""),
        (None, ""),
    ],
    ids=["quantized", "floats", "list", "text", "nothing"],
)
def test_a_folder_made_of_a_file_tells_its_types(
    tmp_path: Path, told: object, expected: str
) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"llmops_source": told}))
    source = Artifact(reference="m", format="hf", path=str(tmp_path), digest="sha256:1")
    assert lossy_types_of(source) == expected


QUANTIZED = Tensor("blk.0.ffn_up.weight", (32, 2), type_number=2, size_bytes=64)


def test_a_file_of_ours_tells_what_came_before_its_own_types(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(gguf(tensors=[QUANTIZED]))
    assert all_lossy_types(read_gguf(path)) == "Q4_0"
    record = record_beside(path)
    record.write_text(json.dumps({"key": "k", "requantized_from": "Q4_0, Q8_0"}))
    assert all_lossy_types(read_gguf(path)) == "Q4_0, Q8_0"
    record.write_text("no JSON")
    assert all_lossy_types(read_gguf(path)) == "Q4_0"


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        ({"allow_requantize": True}, True),
        ({}, False),
        ({"allow_requantize": True, "mix": "auto", "fit_bytes": 90_000_000}, False),
        ({"allow_requantize": True, "sweep": ["gguf:Q8_0", "int4"]}, False),
    ],
    ids=["wished", "not", "mix", "folder"],
)
def test_a_file_is_taken_as_it_is_where_that_is_wished_and_can_be(
    wish: dict[str, object], expected: bool
) -> None:
    recipe = QuantizeRecipe(**wish)  # type: ignore[arg-type]
    assert takes_file(recipe, variants_of(recipe)) is expected
