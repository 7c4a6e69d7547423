"""An artifact that could not be made leaves the others their turn."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmops_cli.core.artifact import Artifact
from llmops_cli.core.errors import EngineFailed
from llmops_cli.core.progress import Silent
from llmops_cli.core.report import Manifest
from llmops_cli.pipeline import run as steps
from llmops_cli.pipeline.recipe import PipelineRecipe
from llmops_cli.pipeline.report import require_all
from llmops_cli.pipeline.run import run_pipeline
from llmops_cli.quantize.report import QuantizedArtifact, QuantizeReport
from llmops_cli.runtime.runs import RunFolder
from llmops_cli.serving.target import EngineTarget, prepare_target


def test_the_files_that_were_made_are_measured_and_the_missing_one_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "m.gguf"
    path.write_bytes(b"x")
    made = QuantizedArtifact(
        path=str(path),
        method="gguf",
        engine="llama.cpp",
        scheme="Q8_0",
        format="gguf",
        name="gguf-Q8_0",
        size_bytes=1,
        size_base_bytes=2,
        bits_per_weight=8.5,
    )
    report = QuantizeReport(
        manifest=Manifest(recipe={}),
        artifacts=[made],
        failures={"gguf-Q4_K_M": "the job was killed"},
    )
    source = Artifact(reference="m", format="hf", path=str(tmp_path), digest="sha256:1")
    monkeypatch.setattr(steps, "find_model", lambda *_, **__: source)
    monkeypatch.setattr(steps, "quantize", lambda *_, **__: report)
    target = prepare_target(EngineTarget(backend="sim"), progress=Silent())
    monkeypatch.setattr(steps, "prepare_target", lambda *_, **__: target)
    folder = RunFolder("run", "x", chosen=tmp_path / "run")
    found = run_pipeline(PipelineRecipe(model="m"), folder=folder, progress=Silent())
    there, missing = found.rows
    assert (there.name, there.failure) == ("Q8_0", None)
    assert missing.failure == "it was not made: the job was killed"
    assert (folder.path / "report.json").is_file()
    with pytest.raises(EngineFailed, match="1 of 2 failed; gguf-Q4_K_M: it was not made"):
        require_all(found)
