"""What a library raises becomes one line, with a way on where there is one."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")

from quantize.quantizing import library_failure


def test_an_architecture_without_a_mapping_gets_a_method_that_needs_none() -> None:
    error = ValueError("no match for resolved mapping")
    told = library_failure("llm-compressor", "awq", error)
    assert told.message == "llm-compressor failed: ValueError: no match for resolved mapping"
    assert told.hint is not None
    assert "--method gptq" in told.hint
    assert library_failure("llm-compressor", "gptq", error).hint is None
