"""Only answers weigh in full, and padding weighs nothing."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("torch", reason="torch is not installed")

from _shared.protocol import JobError
from train.chats import collate, encode, read_chats

CHAT = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "yes"}]


class Letters:
    def encode(self, text: str, **_: Any) -> SimpleNamespace:
        return SimpleNamespace(ids=list(map(ord, text)))


def test_weights_follow_the_roles() -> None:
    ids, weights = encode(Letters(), CHAT, 0.25)
    text = "".join(map(chr, ids))
    assert text == "<|user|>q<|end|><|assistant|>yes<|end|>"
    full = [character for character, weight in zip(text, weights, strict=True) if weight == 1.0]
    assert "".join(full) == "yes<|end|>"
    assert set(weights) == {0.25, 1.0}


def test_shorter_samples_are_padded_with_no_weight() -> None:
    ids_BT, weights_BT = collate([([5, 6, 7], [1.0, 1.0, 1.0]), ([8], [0.5])])
    assert ids_BT.tolist() == [[5, 6, 7], [8, 0, 0]]
    assert weights_BT.tolist() == [[1.0, 1.0, 1.0], [0.5, 0.0, 0.0]]


def test_a_line_that_is_no_chat_is_named(tmp_path: Path) -> None:
    path = tmp_path / "chats.jsonl"
    path.write_text('{"messages": [{"role": "user", "content": "a"}]}\n{"text": "b"}\n')
    with pytest.raises(JobError, match=":2 is no chat"):
        read_chats(path)
    path.write_text("")
    with pytest.raises(JobError, match="has no examples"):
        read_chats(path)
