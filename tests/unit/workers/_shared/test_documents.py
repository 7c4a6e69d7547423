"""Rows of data files as texts and chats; pieces and windows made of them lose nothing silently."""

from __future__ import annotations

import gzip
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
    chat_template = "yes"

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
        ({"prompt": "b", "completion": "c"}, "bc"),
        (
            {"instruction": "hi", "output": "yes"},
            [*CHAT, {"role": "assistant", "content": "yes"}],
        ),
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
    with pytest.raises(JobError, match=r"rows\.jsonl:2: no known form of sample; its fields: id"):
        list(rows_of(path))


def test_lines_are_cut_at_line_feeds_only_and_may_be_packed(tmp_path: Path) -> None:
    text = "a\u2028b\u0085c"
    line = json.dumps({"text": text}, ensure_ascii=False).encode()
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + line + b"\r\n\n" + line)
    assert list(rows_of(path)) == [text, text]
    packed = tmp_path / "rows.jsonl.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert list(rows_of(packed)) == [text, text]
    packed.write_bytes(gzip.compress(path.read_bytes())[:-9])
    with pytest.raises(JobError, match="cannot be unpacked"):
        list(rows_of(packed))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"text": "a"}\n{oops}', "rows.jsonl:2: no JSON"),
        (b'{"text": "\xff"}', "rows.jsonl:1: no UTF-8"),
        (b"12", "rows.jsonl:1: a row is an object, or a text"),
        (b'{"text": null}', "rows.jsonl:1: no known form"),
        (b"\xff\xfe{\0", "rows.jsonl is UTF-16"),
        (b'{"messages": [{"role": "robot", "content": ""}]}', "rows.jsonl:1: messages.0.: role is"),
        (b'{"prompt": "a", "chosen": "b", "rejected": "c"}', "it holds preference pairs"),
    ],
)
def test_what_is_no_row_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(content)
    with pytest.raises(JobError, match=said):
        list(rows_of(path))


def test_plain_text_is_whole_windows_scored_on_their_second_half(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text("abcdefghij")
    found = pieces_of(path, encode, bos=[1], window=4, limit=8)
    assert found == [([1, *encode("abc")], 2), ([1, *encode("def")], 2)]
    assert len(pieces_of(path, encode, bos=[1], window=4, limit=1 << 60)) == 3
    with pytest.raises(JobError, match="one piece needs 40 tokens"):
        pieces_of(path, encode, bos=[], window=40, limit=100)
    path.write_text("\u20ac" * 1000)  # a character may be cut where nothing behind it is read
    assert len(pieces_of(path, encode, bos=[], window=4, limit=4)) == 1


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
