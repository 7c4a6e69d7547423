"""Vectors that mean nothing, for requests to /v1/embeddings. A word is a token."""

from array import array
from typing import Any

from _shared.embeddings import EmbeddingRequest, embedding_answer, read_embedding_request

DIMENSIONS = 8
VECTOR = array("f", [DIMENSIONS**-0.5] * DIMENSIONS).tobytes()
"""Of length one, as those of real models are."""


def read(fields: dict[str, Any]) -> EmbeddingRequest:
    """Raises: FieldError."""
    return read_embedding_request(fields, dimensions=DIMENSIONS)


def tokens_of(request: EmbeddingRequest) -> int:
    """Words of each text, with one for its beginning; tokens as they are."""
    count = 0
    for each in request.inputs:
        if isinstance(each, str):
            words_of_text = each.split()
            count += 1 + len(words_of_text)
        else:
            count += len(each)
    return count


def answer(request: EmbeddingRequest, prompt_tokens: int) -> dict[str, Any]:
    vectors = [VECTOR] * len(request.inputs)
    return embedding_answer(
        vectors, model="sim", encoding=request.encoding, prompt_tokens=prompt_tokens
    )
