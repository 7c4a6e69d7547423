"""Where a prompt begins is told without looking at the rest of it."""

from __future__ import annotations

import time
from typing import Any

import pytest

from llmops_cli.serve.request import HEAD_CHARS, head_of

DEEP: list[Any] = []
for _ in range(5000):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    ("prompt", "head"),
    [
        ("Hello", "Hello"),
        ([{"role": "system", "content": "Be kind."}, {"content": "Hi"}], "Be kind.\nHi"),
        ([{"content": [{"type": "text", "text": "Hi"}]}], "text Hi"),
        (["one", "two"], "one\ntwo"),
        ([1, 2, 3], "1\n2\n3"),
        ([{"content": None}], "None"),
    ],
)
def test_a_head_is_what_comes_first(prompt: Any, head: str) -> None:
    assert head_of(prompt) == head


@pytest.mark.quiet
@pytest.mark.parametrize(
    "prompt",
    [
        "x" * 10_000_000,
        list(range(1_000_000)),
        ["x" * 100] * 100_000,
        [{"content": "x"}] * 100_000,
        [{"content": [{"text": "x" * 5_000_000}] * 9}],
        DEEP,
        [{"content": DEEP}],
    ],
    ids=["text", "tokens", "texts", "messages", "parts", "deep", "deep content"],
)
def test_a_long_prompt_takes_no_longer(prompt: Any) -> None:
    start = time.process_time()

    found = head_of(prompt)

    assert time.process_time() - start < 0.05
    assert len(found) <= HEAD_CHARS + 1
