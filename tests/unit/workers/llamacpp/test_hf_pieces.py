"""SentencePiece's scores as merges: the tokenizer joins what llama.cpp would join."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest

pytest.importorskip("gguf", reason="gguf is not installed")
pytest.importorskip("tokenizers", reason="tokenizers is not installed")

import tokenizers

from llamacpp.gguf_file import GgufFile
from llamacpp.hf_tokenizer import tokenizer_of

PIECES = [
    *(("<unk>", 2, 0.0), ("<s>", 3, 0.0), ("<0x21>", 6, 0.0)),
    *(("\u2581", 1, -9.0), ("a", 1, -10.0), ("b", 1, -11.0), ("c", 1, -12.0)),
    *(("bc", 1, -1.0), ("ab", 1, -2.0), ("\u2581a", 1, -3.0)),
]


class Keys:
    """A file of keys alone."""

    path = "x.gguf"

    def __init__(self, **more: Any) -> None:
        self._keys = {
            "model": "llama",
            "tokens": [piece for piece, _, _ in PIECES],
            "token_type": [kind for _, kind, _ in PIECES],
            "scores": [score for _, _, score in PIECES],
            "unknown_token_id": 0,
            "bos_token_id": 1,
            **more,
        }

    def key(self, name: str, default: Any = None) -> Any:
        return self._keys.get(name.removeprefix("tokenizer.ggml."), default)


def tokenizer(**more: Any) -> Any:
    fields = tokenizer_of(cast(GgufFile, Keys(**more)))
    return tokenizers.Tokenizer.from_str(json.dumps(fields))


def test_the_piece_of_the_highest_score_is_joined_first() -> None:
    made = tokenizer(add_bos_token=False, add_space_prefix=False)
    assert made.encode("abc").tokens == ["a", "bc"]
    assert made.encode("a!").tokens == ["a", "<0x21>"]
    assert made.decode(made.encode("a bc").ids) == "a bc"


def test_what_stands_first_is_as_the_file_says() -> None:
    spaced = tokenizer(add_bos_token=False)
    assert spaced.encode("a").tokens == ["\u2581a"]
    assert spaced.decode(spaced.encode("a").ids) == "a"
    assert tokenizer(add_space_prefix=False).encode("a").tokens == ["<s>", "a"]
