"""Text as people write it becomes values, and nonsense is told what would have been right."""

from __future__ import annotations

import pytest

from llmops_cli.core.grammar import (
    Unreadable,
    read_json_pairs,
    read_pairs,
    read_share,
    read_size,
)


@pytest.mark.parametrize(
    ("text", "size"), [("6GiB", 6 << 30), ("500MB", 500_000_000), ("1.5k", 1500), ("42B", 42)]
)
def test_sizes(text: str, size: int) -> None:
    assert read_size(text) == size


@pytest.mark.parametrize(("text", "share"), [("3%", 0.03), ("0.03", 0.03), ("0%", 0.0)])
def test_shares(text: str, share: float) -> None:
    assert read_share(text) == pytest.approx(share)


def test_pairs() -> None:
    assert read_pairs(["kv-tokens=5", "url=http://x?a=b"]) == {
        "kv_tokens": "5",
        "url": "http://x?a=b",
    }
    assert read_pairs('{"queue": 3}') == {"queue": "3"}
    assert read_json_pairs(["top_p=0.9", "stop=[1]", "user=me"]) == {
        "top_p": 0.9,
        "stop": [1],
        "user": "me",
    }


@pytest.mark.parametrize("text", ["6 apples", "GiB", "6", "42", ""])
def test_no_size(text: str) -> None:
    with pytest.raises(Unreadable):
        read_size(text)


@pytest.mark.parametrize("text", ["three", "%", "3", "1.5"])
def test_no_share(text: str) -> None:
    with pytest.raises(Unreadable):
        read_share(text)


def test_no_pair() -> None:
    with pytest.raises(Unreadable):
        read_pairs(["queue"])
    with pytest.raises(Unreadable):
        read_json_pairs(["=3"])
