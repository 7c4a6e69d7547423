"""Adapters: sizes that everybody who trains them knows."""

from __future__ import annotations

import pytest

from llmops_cli.sizing.adapters import adapter_memory
from llmops_cli.sizing.families import architecture_of
from tests.unit.sizing.configs import LLAMA_3_8B

GB = 1e9


def test_lora_of_eight_billion() -> None:
    found = adapter_memory(architecture_of(LLAMA_3_8B), bits=16)
    assert found.parameters == 41_943_040
    assert found.frozen == pytest.approx(16.06 * GB, rel=0.01)
    assert found.total == pytest.approx(16.7 * GB, rel=0.01)


def test_fewer_bits_leave_embeddings_as_they_are() -> None:
    four = adapter_memory(architecture_of(LLAMA_3_8B), bits=4)
    eight = adapter_memory(architecture_of(LLAMA_3_8B), bits=8)
    assert four.frozen == pytest.approx(5.7 * GB, rel=0.02)
    assert four.frozen < eight.frozen < 16 * GB
    assert four.trained == eight.trained
