"""What is seen of a canary, and when that is bad enough to take it back."""

from __future__ import annotations

import bisect
import math
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

import msgspec

from llmops_cli.gateway_file.model import CanaryConfig

EDGES_S = tuple(0.001 * 1.05**i for i in range(260))
"""Bounds of the TTFT histogram, 1 ms to 5 minutes, 5 % apart.

As exact as the median of a few hundred is.
"""
ENOUGH = 20
"""Requests on each side before anything is concluded."""
STABLE = "stable"
CANARY = "canary"
SIDES = (STABLE, CANARY)


@dataclass(frozen=True, slots=True)
class Sighting:
    """What came of one request on a side, when all of it was over.

    `is_error`: what the side did, whatever its status. `is_doubtful`: the request was refused, or
    answered with nothing, and no other side was there to tell whose fault that was. Times of 0
    were not measured.
    """

    ERROR: ClassVar[Sighting]
    DOUBTFUL: ClassVar[Sighting]

    is_error: bool = False
    is_doubtful: bool = False
    ttft_s: float = 0.0
    tpot_s: float = 0.0


Sighting.ERROR = Sighting(is_error=True)
Sighting.DOUBTFUL = Sighting(is_doubtful=True)


class SideStats(msgspec.Struct):
    """What one side did at this step. `ttft`, `tpot`: counts by bucket of EDGES_S."""

    requests: int = 0
    errors: int = 0
    doubtful: int = 0
    ttft: dict[int, int] = {}
    tpot: dict[int, int] = {}

    def add(self, other: SideStats) -> None:
        self.requests += other.requests
        self.errors += other.errors
        self.doubtful += other.doubtful
        _add(self.ttft, other.ttft)
        _add(self.tpot, other.tpot)

    def note(self, seen: Sighting) -> None:
        self.requests += 1
        self.errors += seen.is_error
        self.doubtful += seen.is_doubtful
        _count(self.ttft, seen.ttft_s)
        _count(self.tpot, seen.tpot_s)

    def median_ttft_s(self) -> float | None:
        return median_s(self.ttft)

    def share(self, count: int) -> float:
        if not self.requests:
            return 0.0
        return count / self.requests


def _add(counts: dict[int, int], more: dict[int, int]) -> None:
    for bucket, count in more.items():
        counts[bucket] = counts.get(bucket, 0) + count


def _count(counts: dict[int, int], seconds: float) -> None:
    """0: there is nothing to count."""
    if seconds:
        bucket = bisect.bisect_left(EDGES_S, seconds)
        counts[bucket] = counts.get(bucket, 0) + 1


def median_s(counts: dict[int, int]) -> float | None:
    total = sum(counts.values())
    seen = 0
    for bucket in sorted(counts):
        seen += counts[bucket]
        if seen * 2 >= total:
            return EDGES_S[min(bucket, len(EDGES_S) - 1)]
    return None


class CanaryStatus(StrEnum):
    RUNNING = "running"
    DONE = "done"
    ROLLED_BACK = "rolled back"


class CanaryState(msgspec.Struct):
    """Where a canary stands. `digest` is its configuration's; `since` the step's beginning."""

    digest: str
    step: int = 0
    since: float = 0.0
    state: CanaryStatus = CanaryStatus.RUNNING
    reason: str = ""
    sides: dict[str, SideStats] = {}


def new_sides() -> dict[str, SideStats]:
    return {side: SideStats(ttft={}, tpot={}) for side in SIDES}


def verdict(config: CanaryConfig, sides: dict[str, SideStats]) -> str:
    """Why the canary must go back; empty if nothing says so."""
    stable = sides[STABLE]
    canary = sides[CANARY]
    if canary.requests < ENOUGH:
        return ""
    ours = canary.share(canary.errors)
    theirs = stable.share(stable.errors)
    worse = _worse_share("errors", ours, theirs, config, canary.requests)
    if worse:
        return worse
    ours = canary.share(canary.doubtful)
    theirs = stable.share(stable.doubtful)
    worse = _worse_share("refused or empty", ours, theirs, config, canary.requests)
    if worse:
        return worse
    worse = _worse_time("TTFT", canary.ttft, stable.ttft, config)
    return worse or _worse_time("time per token", canary.tpot, stable.tpot, config)


def _worse_share(
    what: str,
    ours: float,
    theirs: float,
    config: CanaryConfig,
    requests: int,
) -> str:
    expected = max(theirs, config.errors)
    noise = 2 * math.sqrt(expected / requests)  # two standard errors of a share
    if ours - theirs <= config.errors + noise:
        return ""
    return f"{what} {ours:.1%} against {theirs:.1%}"


def _worse_time(
    what: str,
    ours: dict[int, int],
    theirs: dict[int, int],
    config: CanaryConfig,
) -> str:
    if min(sum(ours.values()), sum(theirs.values())) < ENOUGH:
        return ""
    ours_s = median_s(ours)
    theirs_s = median_s(theirs)
    if not ours_s or not theirs_s or ours_s <= theirs_s * config.ttft:
        return ""
    return f"median {what} {ours_s * 1e3:.0f} ms against {theirs_s * 1e3:.0f} ms"
