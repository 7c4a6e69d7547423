"""An embeddings request in OpenAI's form, its checks, and the form of its answer.

Standard library only. Vectors are bytes: float32, little-endian.
"""

import base64
import sys
from array import array
from dataclasses import dataclass
from typing import Any

from _shared.request_fields import FieldError, check_fields

MOST_INPUTS = 2048
"""OpenAI's."""
ENCODINGS = ("float", "base64")

# What a client sends is any JSON, and an answer has values of several types.
Json = dict[str, Any]
EmbeddingInput = str | list[int]
"""A text, or tokens as they are."""


KNOWN = ("model", "input", "encoding_format", "dimensions")


@dataclass(frozen=True)
class EmbeddingRequest:
    """What a body asks for. `model` is empty if it names none."""

    model: str
    inputs: list[EmbeddingInput]
    encoding: str


def read_embedding_request(fields: Json, *, dimensions: int) -> EmbeddingRequest:
    """`dimensions`: of the model's vectors. Raises: FieldError."""
    model = fields.get("model")
    if model is None:
        model = ""
    if not isinstance(model, str):
        raise FieldError("model", f"a name, not {kind_of(model)}")
    encoding = fields.get("encoding_format")
    if encoding is None:
        encoding = "float"
    if encoding not in ENCODINGS:
        raise FieldError("encoding_format", f"one of {', '.join(ENCODINGS)}")
    check_dimensions(fields.get("dimensions"), dimensions)
    check_fields(fields, known=KNOWN, server="this server")
    return EmbeddingRequest(model=model, inputs=inputs_of(fields), encoding=str(encoding))


def check_dimensions(wanted: object, own: int) -> None:
    """Vectors are not cut: only models that were trained for it can be. Raises: FieldError."""
    if wanted is None:
        return
    if not is_whole(wanted):
        raise FieldError("dimensions", f"a whole number, not {kind_of(wanted)}")
    if wanted != own:
        raise FieldError(
            "dimensions", f"this model's vectors have {own}, and it was not trained to be cut"
        )


def inputs_of(fields: Json) -> list[EmbeddingInput]:
    """A text, texts, tokens, or lists of tokens. Raises: FieldError."""
    given = fields.get("input")
    if given is None:
        raise FieldError("input", "a text, texts or token ids are needed")
    if isinstance(given, str):
        check_one(given, "")
        return [given]
    if not isinstance(given, list):
        raise FieldError("input", f"a text, texts or token ids, not {kind_of(given)}")
    if not given:
        raise FieldError("input", "is empty")
    if is_whole(given[0]):
        check_one(given, "")
        return [given]
    if len(given) > MOST_INPUTS:
        raise FieldError("input", f"{len(given):,} texts; at most {MOST_INPUTS:,} a request")
    has_texts = isinstance(given[0], str)
    for number, part in enumerate(given):
        place = f"[{number}]"
        check_one(part, place)
        if isinstance(part, str) != has_texts:
            raise FieldError("input", "texts and token ids in one list", place=place)
    return given


def check_one(part: object, place: str) -> None:
    """One text, or the tokens of one. Raises: FieldError."""
    if not isinstance(part, str | list):
        raise FieldError("input", f"a text or token ids, not {kind_of(part)}", place=place)
    if not part:
        raise FieldError("input", "is empty", place=place)
    if isinstance(part, str):
        check_unicode(part, place)
        return
    for token in part:
        if not is_whole(token):
            raise FieldError("input", f"a token id, not {kind_of(token)}", place=place)


def check_unicode(text: str, place: str) -> None:
    """JSON can spell half a surrogate pair, which is no text. Raises: FieldError."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise FieldError("input", "half of a surrogate pair", place=place) from None


def check_tokens(
    tokens: list[int],
    *,
    number: int,
    vocabulary_size: int,
    most: int,
) -> None:
    """Those of input `number` fit the model. Raises: FieldError."""
    place = f"[{number}]"
    if not tokens:
        raise FieldError("input", "has no tokens", place=place)
    if len(tokens) > most:
        reason = f"{len(tokens):,} tokens; this model reads at most {most:,} of a text"
        raise FieldError("input", reason, place=place)
    if min(tokens) < 0 or max(tokens) >= vocabulary_size:
        known = f"0 to {vocabulary_size - 1}"
        raise FieldError("input", f"a token id is not in the vocabulary ({known})", place=place)


def is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def kind_of(value: object) -> str:
    """A JSON value's type in JSON's words."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "a text"
    return "a list" if isinstance(value, list) else "an object"


def embedding_answer(
    vectors: list[bytes],
    *,
    model: str,
    encoding: str,
    prompt_tokens: int,
) -> Json:
    """The whole answer, vectors in the order of their inputs."""
    encode = as_base64 if encoding == "base64" else as_floats
    data = []
    for index, vector in enumerate(vectors):
        entry = {"object": "embedding", "index": index, "embedding": encode(vector)}
        data.append(entry)
    return {
        "object": "list",
        "data": data,
        "model": model,
        "usage": {"prompt_tokens": prompt_tokens, "total_tokens": prompt_tokens},
    }


def as_base64(vector: bytes) -> str:
    return base64.b64encode(vector).decode()


def as_floats(vector: bytes) -> list[float]:
    values = array("f", vector)
    if sys.byteorder == "big":
        values.byteswap()
    return values.tolist()
