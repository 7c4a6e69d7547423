"""A text's windows are the same however it is cut into blocks, and a long text stays small."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmops_cli.guard.learnt import features
from llmops_cli.guard.learnt.features import windows_of
from llmops_cli.guard.learnt.model import shipped_stage

PARTS = ["word ", "end. ", "\n", "日本", "x" * 70, "!", "a_b", "ﷺ", "é", "\u0301", "12 "]
CHARS = 150_000
TIMES_ITS_SIZE = 150
"""Bytes a character: a list of all windows took 400."""


@pytest.mark.parametrize("block_chars", [1, 7, 100])
@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(parts=st.lists(st.sampled_from(PARTS), max_size=150))
def test_blocks_change_no_window(
    monkeypatch: pytest.MonkeyPatch, block_chars: int, parts: list[str]
) -> None:
    text = "".join(parts)
    monkeypatch.setattr(features, "BLOCK_CHARS", len(text) * 20 + 1)
    whole = list(windows_of(text))
    monkeypatch.setattr(features, "BLOCK_CHARS", block_chars)
    assert list(windows_of(text)) == whole


def test_a_long_text_takes_memory_by_its_size_not_by_its_windows() -> None:
    text = "".join(chr(0x4E00 + place % 20_000) for place in range(CHARS))
    stage = shipped_stage()
    tracemalloc.start()
    try:
        assert stage.judge(text).windows > CHARS / features.WINDOW_WORDS
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < TIMES_ITS_SIZE * CHARS
