"""What a library raises becomes one line, with a way on where there is one."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")

from quantize.quantizing import QuantizeJob, library_failure


def test_an_architecture_without_a_mapping_gets_a_method_that_needs_none() -> None:
    error = ValueError("no match for resolved mapping")
    told = library_failure("llm-compressor", "awq", error)
    assert told.message == "llm-compressor failed: ValueError: no match for resolved mapping"
    assert told.hint is not None
    assert "--method gptq" in told.hint
    assert library_failure("llm-compressor", "gptq", error).hint is None


def test_chat_templates_of_every_place_go_along(tmp_path: Path) -> None:
    source = tmp_path / "source"
    templates = source / "additional_chat_templates"
    templates.mkdir(parents=True)
    (templates / "tool_use.jinja").write_text("B")
    for name in ("chat_template.jinja", "chat_template.json"):
        (source / name).write_text("A")
    job = QuantizeJob.__new__(QuantizeJob)  # a whole one would load a model
    job.source = source
    job.output = tmp_path / "output"
    job.output.mkdir()
    job.finish()
    found = sorted(path.relative_to(job.output).as_posix() for path in job.output.rglob("*.j*"))
    assert found == [
        "additional_chat_templates/tool_use.jinja",
        "chat_template.jinja",
        "chat_template.json",
    ]
