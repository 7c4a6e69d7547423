"""Rows of data files as texts and chats; pieces and windows made of them lose nothing silently."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from _shared.calibration import calibration_of
from _shared.documents import rows_of
from _shared.pieces import pieces_of
from _shared.protocol import JobError

CHAT = [{"role": "user", "content": "hi"}]


class Letters:
    """A tokenizer whose tokens are characters."""

    eos_token_id = 0

    def __call__(self, text: str, **_: Any) -> SimpleNamespace:
        return SimpleNamespace(input_ids=list(map(ord, text)))

    def apply_chat_template(self, chat: list[dict[str, str]], **_: Any) -> list[int]:
        return [1, *map(ord, chat[0]["content"])]


def encode(text: str) -> list[int]:
    return list(map(ord, text))


@pytest.mark.parametrize(
    ("row", "document"),
    [
        ("plain", "plain"),
        ({"text": "a"}, "a"),
        ({"prompt": "b", "other": 1}, "b"),
        ({"messages": CHAT}, CHAT),
        ({"conversations": [{"from": "human", "value": "hi"}]}, CHAT),
    ],
)
def test_a_row_is_a_text_or_a_chat(tmp_path: Path, row: object, document: object) -> None:
    lines = tmp_path / "rows.jsonl"
    lines.write_text(json.dumps(row) + "\n\n" + json.dumps({"text": ""}) + "\n")
    whole = tmp_path / "rows.json"
    whole.write_text(json.dumps([row]))
    assert list(rows_of(lines)) == list(rows_of(whole)) == [document]


def test_a_row_without_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "a"}\n{"id": 1}\n')
    with pytest.raises(JobError, match="row 2 has neither text nor messages"):
        list(rows_of(path))


def test_plain_text_is_whole_windows_scored_on_their_second_half(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text("abcdefghij")
    found = pieces_of(path, encode, bos=[1], window=4, limit=8)
    assert found == [([1, *encode("abc")], 2), ([1, *encode("def")], 2)]
    with pytest.raises(JobError, match="one piece needs 40 tokens"):
        pieces_of(path, encode, bos=[], window=40, limit=100)


def test_documents_are_scored_whole_up_to_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(json.dumps({"text": text}) for text in ("abcdef", "x", "yz")))
    found = pieces_of(path, encode, bos=[1], window=4, limit=6)
    assert found == [([1, *encode("abc")], 0), ([1, *encode("x")], 0)]


def test_chats_need_a_template(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"messages": CHAT}))
    with pytest.raises(JobError, match="holds chats"):
        pieces_of(path, encode, bos=[], window=4, limit=9)
    found = pieces_of(path, encode, bos=[], window=4, limit=9, render=lambda chat: [5, 6])
    assert found == [([5, 6], 0)]


def test_calibration_counts_what_it_leaves_out(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(json.dumps({"text": "x" * 40}) for _ in range(5)))
    made = calibration_of(Letters(), path, samples=4, seq_len=32, seed=0)
    assert [len(window) for window in made.windows] == [32] * 4
    assert made.facts()["unused_tokens"] == 5 * 41 - 4 * 32
    made = calibration_of(Letters(), path, samples=99, seq_len=200, seed=0)
    assert made.facts()["tokens"] == 200
    made = calibration_of(Letters(), path, samples=99, seq_len=100, seed=0)
    assert [len(window) for window in made.windows] == [100, 100]
    made.keep_whole(101)
    assert made.facts()["unused_tokens"] == 5 * 41
    path.write_text(json.dumps({"text": "short"}))
    with pytest.raises(JobError, match="too little text: 5 tokens"):
        calibration_of(Letters(), path, samples=4, seq_len=32, seed=0)
