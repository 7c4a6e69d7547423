"""What GGUF files are held against: a file that is known to be the original, or the original."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from llmops_cli.core.artifact import Artifact
from llmops_cli.models.convert import gguf_conversion
from llmops_cli.models.provenance import record_beside, write_provenance
from llmops_cli.models.truth import Outcome, Truth, unchecked
from llmops_cli.quantize.gguf_files import GgufMaker
from llmops_cli.quantize.provenance import Provenance
from llmops_cli.quantize.recipe import QuantizeRecipe
from llmops_cli.quantize.task import QuantizeTask
from llmops_cli.runtime.digests import digest_file
from tests.unit.heard import Heard

PASSED = Truth(outcome=Outcome.PASSED)
FAILED = Truth(outcome=Outcome.FAILED)


@pytest.mark.parametrize(
    ("check", "is_base"),
    [(PASSED, True), (FAILED, False), (unchecked("--no-check"), False), (None, False)],
    ids=["passed", "failed", "no-check", "never"],
)
def test_a_file_is_the_base_once_it_was_compared_with_the_original(
    tmp_path: Path, check: Truth | None, is_base: bool
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    config = {"architectures": ["LlamaForCausalLM"]}
    (folder / "config.json").write_text(json.dumps(config))
    source = Artifact(reference="model", format="hf", path=str(folder), digest="sha256:1")
    progress = Heard()
    recipe = QuantizeRecipe(model="model", check=False, calibration="builtin")
    task = QuantizeTask(recipe=recipe, source=source, folder=tmp_path, progress=progress)
    file = tmp_path / "model-F16.gguf"
    file.write_bytes(b"GGUF")
    key = gguf_conversion(source, file, "F16", progress=progress).key
    made = Provenance(key=key, digest=digest_file(file), size_bytes=4, check=check)
    write_provenance(record_beside(file), made)
    base = GgufMaker(task).base_file()
    assert (base is not None) is is_base
