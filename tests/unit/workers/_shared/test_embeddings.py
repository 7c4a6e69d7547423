"""An embeddings request: what is read of it, what is refused by its field's name."""

from __future__ import annotations

import base64
import struct
from typing import Any

import pytest

from _shared.embeddings import (
    check_tokens,
    embedding_answer,
    read_embedding_request,
)
from _shared.request_fields import FieldError

DIMENSIONS = 3
VECTOR = struct.pack("<3f", 0.5, -1.25, 3.0)


@pytest.mark.parametrize(
    ("given", "inputs"),
    [
        ("text", ["text"]),
        (["one", "two"], ["one", "two"]),
        ([5, 6], [[5, 6]]),
        ([[5, 6], [7]], [[5, 6], [7]]),
    ],
    ids=["text", "texts", "tokens", "lists of tokens"],
)
def test_the_four_forms_of_an_input(given: object, inputs: list[object]) -> None:
    request = read_embedding_request({"input": given}, dimensions=DIMENSIONS)
    assert request.inputs == inputs
    assert request.encoding == "float"


REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "no input": ({}, "input", "input: "),
    "null": ({"input": None}, "input", "input: "),
    "an empty text": ({"input": ""}, "input", "input: is empty"),
    "an empty list": ({"input": []}, "input", "input: is empty"),
    "an empty text of several": ({"input": ["a", ""]}, "input", "input[1]: is empty"),
    "no tokens": ({"input": [[]]}, "input", "input[0]: is empty"),
    "a number": ({"input": 5}, "input", "not a number"),
    "an object": ({"input": {"text": "a"}}, "input", "not an object"),
    "a boolean among texts": ({"input": ["a", True]}, "input", "input[1]: "),
    "a boolean among tokens": ({"input": [1, True]}, "input", "not a boolean"),
    "a fraction": ({"input": [1, 1.5]}, "input", "not a number"),
    "texts and tokens": ({"input": ["a", [1]]}, "input", "input[1]: texts and token ids"),
    "tokens and texts": ({"input": [1, "a"]}, "input", "not a text"),
    "half a surrogate pair": ({"input": "\ud800"}, "input", "surrogate"),
    "too many": ({"input": ["a"] * 2049}, "input", "2,049 texts"),
    "other dimensions": ({"input": "a", "dimensions": 2}, "dimensions", "have 3"),
    "dimensions in words": ({"input": "a", "dimensions": "3"}, "dimensions", "not a text"),
    "true dimensions": ({"input": "a", "dimensions": True}, "dimensions", "not a boolean"),
    "another encoding": ({"input": "a", "encoding_format": "hex"}, "encoding_format", "base64"),
    "an encoding that is none": ({"input": "a", "encoding_format": 5}, "encoding_format", "float"),
    "a model that is no name": ({"input": "a", "model": 5}, "model", "not a number"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_used_is_named(case: str) -> None:
    fields, field, words = REFUSED[case]
    with pytest.raises(FieldError) as caught:
        read_embedding_request(fields, dimensions=DIMENSIONS)
    assert caught.value.field == field
    assert words in str(caught.value)


def test_the_models_own_dimensions_may_be_asked_for() -> None:
    fields = {"input": "a", "dimensions": DIMENSIONS}
    assert read_embedding_request(fields, dimensions=DIMENSIONS).inputs == ["a"]


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        ([1] * 9, "9 tokens; this model reads at most 8"),
        ([-1], "not in the vocabulary (0 to 49)"),
        ([50], "not in the vocabulary"),
        ([], "has no tokens"),
    ],
    ids=["too long", "below", "above", "none"],
)
def test_tokens_that_the_model_cannot_read(tokens: list[int], words: str) -> None:
    with pytest.raises(FieldError, match=r"input\[2\]") as caught:
        check_tokens(tokens, number=2, vocabulary_size=50, most=8)
    assert words in str(caught.value)


def test_the_fitting_ones_pass() -> None:
    check_tokens([0, 49] * 4, number=0, vocabulary_size=50, most=8)


def test_floats_and_base64_are_the_same_vector() -> None:
    plain = answer("float")["data"][1]
    packed = answer("base64")["data"][1]
    raw = base64.b64decode(packed["embedding"])
    assert plain["embedding"] == [0.5, -1.25, 3.0]
    assert list(struct.unpack("<3f", raw)) == plain["embedding"]
    assert plain["index"] == packed["index"] == 1


def test_the_answer_says_what_was_read() -> None:
    found = answer("float")
    assert found["usage"] == {"prompt_tokens": 7, "total_tokens": 7}
    assert (found["object"], found["model"]) == ("list", "m")


def answer(encoding: str) -> dict[str, Any]:
    return embedding_answer([VECTOR, VECTOR], model="m", encoding=encoding, prompt_tokens=7)
