"""A vote among samples, and when more samples would no longer change it.

Rules: `beta` ends when the chance that the leader is the majority is high enough; `decided` ends
when nobody can overtake the leader any more, which changes no result; `never` takes all samples.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

RULES = ("beta", "decided", "never")
HALF = 0.5


class Standing(NamedTuple):
    """The two with most votes."""

    leader: str | None
    first: float
    second: float


def standing_of(votes: Mapping[str, float]) -> Standing:
    """Of equal ones the answer that came first leads."""
    leader = max(votes, key=votes.__getitem__, default=None)
    if leader is None:
        return Standing(None, 0.0, 0.0)
    others = [weight for answer, weight in votes.items() if answer != leader]
    return Standing(leader, votes[leader], max(others, default=0.0))


def majority_chance(first: float, second: float) -> float:
    """The chance that the first of two answers is the more frequent one, after so many votes.

    The share of the first among both has a Beta(first + 1, second + 1) posterior; this is its mass
    above one half. Source: Aggarwal et al., arXiv:2305.11860, section 3 (their "Beta" criterion).
    Weighted votes are rounded down.
    """
    ahead = math.floor(first)
    behind = math.floor(second)
    tosses = ahead + behind + 1
    ways = sum(math.comb(tosses, heads) for heads in range(ahead + 1))
    return ways / (1 << tosses)


def is_decided(
    standing: Standing,
    left: int,
    *,
    rule: str,
    confidence: float,
) -> bool:
    """Whether no sample of the `left` ones needs to be asked."""
    if left <= 0:
        return True
    if rule == "never":
        return False
    if standing.first - standing.second > left:
        return True
    if rule == "decided":
        return False
    return majority_chance(standing.first, standing.second) >= confidence


def least_more(
    standing: Standing,
    left: int,
    *,
    rule: str,
    confidence: float,
) -> int:
    """Samples that must be asked even if all agree with the leader: these may be asked at once."""
    for more in range(1, left):
        ahead = standing._replace(first=standing.first + more)
        if is_decided(ahead, left - more, rule=rule, confidence=confidence):
            return more
    return left
