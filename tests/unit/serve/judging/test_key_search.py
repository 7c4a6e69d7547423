"""What a search for keys finds in long texts, and what it says of them."""

from __future__ import annotations

import hashlib
import json
import pickle
import time

import pytest

from llmops_cli.serve.judging.key_search import FOUND_MOST, OVERLAP_CHARS, PIECE_CHARS, search_keys
from llmops_cli.serve.seen_texts import SeenTexts

KEY = "sk-ant-api03-Zx9wQ7bT2mN5kL8rV1cY4hJ6gF3dS0aPoIuXvBnM"
DIGEST = hashlib.sha256(KEY.encode()).digest()


@pytest.mark.parametrize(
    "before",
    [
        0,
        PIECE_CHARS - len(KEY),
        PIECE_CHARS - 40,
        PIECE_CHARS - 1,
        PIECE_CHARS - OVERLAP_CHARS,
        3 * PIECE_CHARS + 7,
    ],
)
@pytest.mark.parametrize("after", ["", " and on", "." * PIECE_CHARS])
def test_a_key_is_found_once_wherever_a_long_text_is_cut(before: int, after: str) -> None:
    text = ". " * (before // 2) + " " * (before % 2) + KEY + after
    found = search_keys(SeenTexts(asked=[text]))
    assert [(each.direction, each.form, each.digest) for each in found] == [
        ("input", "anthropic", DIGEST)
    ]


def test_prompt_and_answer_are_told_apart_and_no_key_is_in_what_comes_back() -> None:
    seen = SeenTexts(asked=["nothing", KEY, f"again {KEY}"])
    seen.said.feed(f'data: {{"choices": [{{"delta": {{"content": "{KEY[:9]}"}}}}]}}\n\n'.encode())
    seen.said.feed(f'data: {{"choices": [{{"delta": {{"content": "{KEY[9:]}"}}}}]}}\n\n'.encode())
    found = search_keys(pickle.loads(pickle.dumps(seen)))
    assert [each.direction for each in found] == ["input", "output"]
    assert KEY.encode() not in pickle.dumps(found)


def test_thousands_of_texts_are_searched_like_one() -> None:
    texts = ["a"] * 4000 + [KEY] + ["b"] * 4000
    start = time.process_time()
    (found,) = search_keys(SeenTexts(asked=texts))
    assert time.process_time() - start < 0.5
    assert found.digest == DIGEST


def test_of_a_text_full_of_keys_some_are_looked_up() -> None:
    keys = [f"sk-ant-api03-{number:06d}Zx9wQ7bT2mN5kL8rV1cY4hJ6" for number in range(5000)]
    assert len(search_keys(SeenTexts(asked=keys))) == FOUND_MOST


def test_a_key_that_stands_there_often_hides_no_other() -> None:
    found = search_keys(SeenTexts(asked=["sk-ant-api03-Zx9wQ7bT2mN5kL8rV1cY4hJ6"] * 99 + [KEY]))
    assert DIGEST in {each.digest for each in found}


def test_a_key_behind_an_escape_of_json_in_a_text_is_found() -> None:
    (found,) = search_keys(SeenTexts(asked=[f'{{"text": "KEY:\\n{KEY}"}}']))
    assert found.digest == DIGEST


@pytest.mark.parametrize("before", ["", "a\nb: ", "\U0001f600 "])
@pytest.mark.parametrize("is_escaped", [False, True])
def test_a_key_in_a_whole_answer_is_found_however_its_json_is_written(
    before: str, is_escaped: bool
) -> None:
    content = f"{before}{KEY}"
    raw = json.dumps({"choices": [{"message": {"content": content}}]}, ensure_ascii=is_escaped)
    if is_escaped:
        raw = raw.replace("sk-", "s\\u006b-")
    seen = SeenTexts(asked=["Hello"])
    seen.said.whole(raw.encode())
    assert [each.digest for each in search_keys(seen)] == [DIGEST]


def test_what_is_no_text_of_an_answer_is_no_key() -> None:
    seen = SeenTexts()
    seen.said.whole(json.dumps({KEY: "the name of a field"}).encode())
    assert search_keys(seen) == []
