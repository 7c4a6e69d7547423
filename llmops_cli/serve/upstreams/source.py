"""Who would answer a request: the side of a pool, and what its upstreams are and call the model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from llmops_cli.serve.upstreams.candidate import RoutingCandidate

IDLE = (
    "can",
    "count_tokens",
    "key_env",
    "max_in_flight",
    "price",
    "prompt_cache",
    "replicas",
    "timeouts",
)
"""What of an upstream's settings changes nothing of what it answers."""


class UpstreamSource(NamedTuple):
    """`members`: everything that makes their answers another's than those of before.

    `answerers`: upstreams of this side, by name, each with the side's.
    """

    side: str
    members: tuple[bytes, ...]
    answerers: frozenset[tuple[str, str]]


NOBODY = UpstreamSource("", (), frozenset())


def source_of(candidates: Sequence[RoutingCandidate]) -> UpstreamSource:
    """Best first: the first of them says which side it is."""
    if not candidates:
        return NOBODY
    side = candidates[0].side
    ours = [candidate for candidate in candidates if candidate.side == side]
    members = {_identity(candidate) for candidate in ours}
    answerers = frozenset((candidate.upstream.name, side) for candidate in ours)
    return UpstreamSource(side, tuple(sorted(members)), answerers)


def _identity(candidate: RoutingCandidate) -> bytes:
    """An engine that was started again has another address, and is the same."""
    config = msgspec.structs.asdict(candidate.upstream.config)
    ours = {name: value for name, value in config.items() if name not in IDLE}
    parts = (candidate.upstream.name, candidate.model, ours)
    return msgspec.json.encode(parts, order="deterministic")
