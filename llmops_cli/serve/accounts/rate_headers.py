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
    for charge, bucket in zip(charges, decision.buckets, strict=True):
        if charge.kind in NAMES and _is_shown(charge, decision):
            headers += _headers(charge, bucket.left)
    return headers


def _is_shown(charge: Charge, decision: LimitDecision) -> bool:
    if decision.refused is not None:
        return charge is decision.refused
    return charge.subject.startswith("key:")


def _headers(charge: Charge, left: float) -> Headers:
    names = NAMES[charge.kind]
    full_in_s = max(0.0, (charge.most - left) * MINUTE_S / charge.most)
    return [
        (names.limit, b"%d" % charge.most),
        (names.remaining, b"%d" % max(0, int(left))),
        (names.reset, b"%.1fs" % full_in_s),
    ]
