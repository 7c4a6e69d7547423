"""In which order the upstreams of a pool are asked."""

from __future__ import annotations

import hashlib
import random

from llmops_cli.gateway_file.model import Balance
from llmops_cli.serve.context import Asked
from llmops_cli.serve.upstreams.candidate import RoutingCandidate
from llmops_cli.serve.upstreams.upstream import Upstream

BOUND = 1.25
"""Affinity yields where an upstream has more than this times its share of what is in flight.

Source: Mirrokni et al., Consistent hashing with bounded loads, 2016.
"""

NO_BOUND = float("inf")


def ordered(
    candidates: list[RoutingCandidate],
    balance: Balance,
    asked: Asked,
    rng: random.Random,
) -> list[RoutingCandidate]:
    """Best first."""
    if len(candidates) < 2:
        return candidates
    by_load = _by_load(candidates, rng)
    if balance == "cost":
        return sorted(by_load, key=_cost)
    anchor = _anchor(balance, asked)
    if not anchor:
        return by_load
    bound = BOUND if balance == "prefix" else NO_BOUND
    near = _near(candidates, anchor, bound=bound)
    return near + [each for each in by_load if each not in near]


def _by_load(candidates: list[RoutingCandidate], rng: random.Random) -> list[RoutingCandidate]:
    """Those with a place first, then the fewest outstanding tokens for their weight."""

    def load(candidate: RoutingCandidate) -> tuple[bool, float, float]:
        upstream = candidate.upstream
        return upstream.full(), upstream.outstanding / candidate.weight, rng.random()

    return sorted(candidates, key=load)


def _cost(candidate: RoutingCandidate) -> tuple[bool, float]:
    upstream = candidate.upstream
    price = upstream.config.price
    if price is None or price == "genai":
        return upstream.full(), 0.0
    return upstream.full(), price.per_token().output


def _anchor(balance: Balance, asked: Asked) -> str:
    """What goes to the same upstream each time."""
    if balance == "sticky":
        return asked.session
    if balance == "prefix":
        return asked.endpoint.head(asked.body)
    return ""


def _near(
    candidates: list[RoutingCandidate],
    anchor: str,
    *,
    bound: float,
) -> list[RoutingCandidate]:
    """The anchor's own upstreams, in order, but for those that have too much to do."""
    in_flight = sum(each.upstream.in_flight for each in candidates)
    most = bound * (1 + in_flight) / len(candidates) + 1
    weights = [(_weight(anchor, each.upstream), each) for each in candidates]
    weights.sort(key=lambda pair: pair[0], reverse=True)
    near = []
    for _, candidate in weights:
        upstream = candidate.upstream
        if upstream.in_flight < most and not upstream.full():
            near.append(candidate)
    return near


def _weight(anchor: str, upstream: Upstream) -> bytes:
    """Rendezvous hashing: an upstream that comes or goes moves only its own share."""
    raw = f"{upstream.url}\0{anchor}".encode("utf-8", "surrogatepass")
    return hashlib.blake2b(raw, digest_size=8).digest()
