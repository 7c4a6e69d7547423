"""What weights have gone through before, and when a file is taken as it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from llmops_cli.core.artifact import Artifact
from llmops_cli.quantize.first_file import lossy_types_of, takes_file
from llmops_cli.quantize.recipe import QuantizeRecipe
from llmops_cli.quantize.variants import variants_of


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
