"""What is seen of a canary, and when that is bad enough to take it back."""

from __future__ import annotations

import bisect
import math
from enum import StrEnum

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


class SideStats(msgspec.Struct):
    """What one side did at this step."""

    requests: int = 0
    errors: int = 0
    ttft: dict[int, int] = {}

    def add(self, other: SideStats) -> None:
        self.requests += other.requests
        self.errors += other.errors
        for bucket, count in other.ttft.items():
            self.ttft[bucket] = self.ttft.get(bucket, 0) + count

    def note(self, *, good: bool, ttft_s: float) -> None:
        """One request. Without a TTFT there was no first token."""
        self.requests += 1
        if not good:
            self.errors += 1
        if ttft_s:
            bucket = bisect.bisect_left(EDGES_S, ttft_s)
            self.ttft[bucket] = self.ttft.get(bucket, 0) + 1

    def measured(self) -> int:
        return sum(self.ttft.values())

    def median_ttft_s(self) -> float | None:
        total = self.measured()
        seen = 0
        for bucket in sorted(self.ttft):
            seen += self.ttft[bucket]
            if seen * 2 >= total:
                return EDGES_S[min(bucket, len(EDGES_S) - 1)]
        return None

    def error_rate(self) -> float:
        if not self.requests:
            return 0.0
        return self.errors / self.requests


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
    return {side: SideStats(ttft={}) for side in (STABLE, CANARY)}


def verdict(config: CanaryConfig, sides: dict[str, SideStats]) -> str:
    """Why the canary must go back; empty if nothing says so."""
    stable = sides[STABLE]
    canary = sides[CANARY]
    if canary.requests < ENOUGH:
        return ""
    return _worse_errors(config, stable, canary) or _worse_ttft(config, stable, canary)


def _worse_errors(
    config: CanaryConfig,
    stable: SideStats,
    canary: SideStats,
) -> str:
    above = canary.error_rate() - stable.error_rate()
    expected = max(stable.error_rate(), config.errors)
    noise = 2 * math.sqrt(expected / canary.requests)  # two standard errors of a share
    if above <= config.errors + noise:
        return ""
    return f"errors {canary.error_rate():.1%} against {stable.error_rate():.1%}"


def _worse_ttft(
    config: CanaryConfig,
    stable: SideStats,
    canary: SideStats,
) -> str:
    if min(stable.measured(), canary.measured()) < ENOUGH:
        return ""
    ours_s = canary.median_ttft_s()
    theirs_s = stable.median_ttft_s()
    if not ours_s or not theirs_s or ours_s <= theirs_s * config.ttft:
        return ""
    return f"median TTFT {ours_s * 1e3:.0f} ms against {theirs_s * 1e3:.0f} ms"
