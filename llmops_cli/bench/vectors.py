"""An answer of the embeddings API: one object with a vector for each text, all at once."""

from __future__ import annotations

from typing import Any

import msgspec

from llmops_cli.bench.answer import Completion, refusal_of
from llmops_cli.bench.failure import ErrorKind, plain_failure
from llmops_cli.core.wrong_json import UNREADABLE
from llmops_cli.runtime.wire import HttpResponse


class Vector(msgspec.Struct, gc=False):
    """Whose numbers nobody needs here."""

    embedding: msgspec.Raw


class Vectors(msgspec.Struct, gc=False):
    data: list[Vector]
    usage: dict[str, Any] | None = None  # Any: servers add fields of their own


_VECTORS = msgspec.json.Decoder(Vectors)


def parse_vectors(response: HttpResponse, *, texts: int) -> Completion:
    """Its one time stamp, or why it is no vector for each text."""
    if response.status != 200:
        return Completion(failure=refusal_of(response))
    answer = Completion(is_stream=False)
    try:
        whole = _VECTORS.decode(b"".join(response.payloads))
    except UNREADABLE:
        whole = Vectors(data=[])
    if len(whole.data) != texts:
        answer.failure = plain_failure(ErrorKind.NO_VECTORS)
        return answer
    answer.vectors = texts
    answer.usage = whole.usage or {}
    answer.stamps.append(response.stamps[-1])
    return answer
