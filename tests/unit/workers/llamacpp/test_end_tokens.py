"""Every token at which Transformers ends an answer has a key, or is told of."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("gguf", reason="gguf is not installed")

from llamacpp.end_tokens import end_tokens, named_ends

TEXTS = ["<s>", "</s>", "<|user|>", "<|end|>", "<|stop|>", "<|halt|>"]


def write(folder: Path, name: str, content: object) -> None:
    (folder / name).write_text(json.dumps(content))


def test_they_are_where_transformers_looks(tmp_path: Path) -> None:
    assert end_tokens(tmp_path) == []
    write(tmp_path, "config.json", {"text_config": {"eos_token_id": 7}})
    assert end_tokens(tmp_path) == [7]
    write(tmp_path, "config.json", {"eos_token_id": [1, 5], "text_config": {"eos_token_id": 7}})
    assert end_tokens(tmp_path) == [1, 5]
    write(tmp_path, "generation_config.json", {"eos_token_id": None})
    assert end_tokens(tmp_path) == [1, 5]
    write(tmp_path, "generation_config.json", {"eos_token_id": [2, "x", -1, True, 4]})
    assert end_tokens(tmp_path) == [2, 4]


def test_each_gets_a_key_that_is_free() -> None:
    assert named_ends([1, 4], {"eos": 1}, TEXTS) == ({"eot": 4}, None)
    assert named_ends([4, 1], {}, TEXTS) == ({"eos": 4, "eot": 1}, None)
    assert named_ends([1, 2, 4], {"eos": 1, "eot": 2}, TEXTS) == ({"eom": 4}, None)
    assert named_ends([1, 1, 60], {"eos": 1, "bos": 0}, TEXTS) == ({}, None)


def test_those_that_llama_cpp_knows_by_text_go_without_first() -> None:
    assert named_ends([1, 3, 4, 5], {"eos": 1}, TEXTS) == ({"eot": 4, "eom": 5}, None)
    keys, notice = named_ends([1, 2, 4, 5], {"eos": 1}, TEXTS)
    assert keys == {"eot": 2, "eom": 4}
    assert notice is not None
    assert "it goes on after '<|halt|>'" in notice.text
