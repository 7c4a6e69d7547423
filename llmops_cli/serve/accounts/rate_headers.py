"""x-ratelimit-*: where a key stands, in the form that OpenAI's clients know."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from llmops_cli.serve.accounts.charge import MINUTE_S, Charge, LimitDecision
from llmops_cli.serve.refusal import Headers


class _Names(NamedTuple):
    limit: bytes
    remaining: bytes
    reset: bytes


def _names(kind: str) -> _Names:
    return _Names(
        limit=f"x-ratelimit-limit-{kind}".encode(),
        remaining=f"x-ratelimit-remaining-{kind}".encode(),
        reset=f"x-ratelimit-reset-{kind}".encode(),
    )


NAMES = {"requests": _names("requests"), "tokens": _names("tokens")}
"""There are none for streams."""


def rate_headers(charges: Sequence[Charge], decision: LimitDecision) -> Headers:
    """Of the key's own buckets, or of the one that was empty."""
    headers: Headers = []
    refused = decision.refused
    for charge, bucket in zip(charges, decision.buckets, strict=True):
        names = NAMES.get(charge.kind)
        is_shown = charge.subject.startswith("key:") if refused is None else charge is refused
        if names is not None and is_shown:
            headers += _headers(names, charge.most, bucket.left)
    return headers


def _headers(names: _Names, most: int, left: float) -> Headers:
    full_in_s = max(0.0, (most - left) * MINUTE_S / most)
    return [
        (names.limit, b"%d" % most),
        (names.remaining, b"%d" % max(0.0, left)),
        (names.reset, b"%.1fs" % full_in_s),
    ]
