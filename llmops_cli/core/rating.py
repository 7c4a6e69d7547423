"""One user's opinion of one answer, as a gateway writes it and reports read it."""

from __future__ import annotations

from typing import Annotated

import msgspec

Score = Annotated[float, msgspec.Meta(ge=0, le=1)]
"""1: as good as it can be."""
FILE = "feedback.jsonl"


class Rating(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`prompt`: NAME@VERSION. `by`: the key that says it, where it is not the request's own.

    `upstream`, `side` (stable, canary): who answered; nothing of an answer from the cache.
    The last one of a request counts.
    """

    at: str
    request: str
    key: str = ""
    by: str = ""
    model: str = ""
    prompt: str = ""
    upstream: str = ""
    side: str = ""
    score: Score | None = None
    labels: list[str] = []
    text: str = ""
