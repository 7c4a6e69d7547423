"""A level as it goes by: what is shown of it, and whether there is any hope."""

from __future__ import annotations

import time
from collections import deque
from typing import NamedTuple

from llmops_cli.bench.arrivals import Load
from llmops_cli.bench.failure import ErrorKind
from llmops_cli.bench.plan import Tick
from llmops_cli.core.counted import counted
from llmops_cli.core.progress import Progress, eta_words
from llmops_cli.core.stats import percentile

GONE_S = 5.0
FEWEST_FAILURES = 10
"""Refused requests in a row from which on a server that was silent for GONE_S is gone."""
RECENT_S = 3.0
LEAST_SPAN_S = 0.25
RECENT_TTFTS = 2000
SLOW_PER_S = 10


class TickAt(NamedTuple):
    """Tokens that came by then."""

    at_s: float
    tokens: int


class LevelWatch:
    """One repetition: throughput over the last seconds, TTFT p95 so far, errors."""

    def __init__(
        self,
        load: Load,
        repetition: int,
        repeats: int,
        progress: Progress,
        *,
        abort_after: int | None = None,
    ) -> None:
        """`abort_after`: failed requests at which there is no more hope."""
        self._abort_after = abort_after
        self._progress = progress
        self._stage = load.label
        if repeats > 1:
            self._stage += f", run {repetition + 1}"
        self._count = load.count
        self._duration_s = load.duration_s
        self._arrivals_s: float | None = None
        """How long the arrivals of a level of one rate take, if they are counted."""
        if load.kind == "rate" and load.count and load.rate_per_s:
            self._arrivals_s = load.count / load.rate_per_s
        self._least_s = load.least_s
        self._streams = load.concurrency or 0
        streams = load.concurrency or 16
        self._patience = 50 + 4 * streams
        self._start = time.monotonic()
        self._done = 0
        self._errors = 0
        self._failing = 0
        self._good_at = self._start
        self._recent: deque[TickAt] = deque()
        self._ttfts: deque[float] = deque(maxlen=RECENT_TTFTS)
        self._last_error: str | None = None
        self._last_kind: ErrorKind | None = None
        progress.update(self._stage, 0, self._total(), self._eta(0.0))

    def _total(self) -> float:
        return float(self._count or self._duration_s or 0)

    def tick(self, tick: Tick) -> None:
        at = time.monotonic()
        self._count_tick(tick, at)
        total = self._total()
        done = self._so_far(at)
        notes = [f"{_rate_words(self._tokens_per_s(at))} tok/s"]
        if self._ttfts:
            p95_ms = percentile(sorted(self._ttfts), 95)
            notes.append(f"TTFT p95 {p95_ms:,.0f} ms")
        if self._errors:
            notes.append(f"{counted(self._errors, 'error')} ({self._last_error})")
        eta = self._eta(at - self._start)
        if eta and total > done:
            notes.append(eta)
        words = ", ".join(notes)
        self._progress.update(self._stage, done, total, words)

    def _eta(self, run_s: float) -> str:
        """Empty while nobody can know: a level that counts requests, before its first one."""
        least_left_s = self._least_s - run_s
        times = [end_s for end_s in (self._duration_s, self._arrivals_s) if end_s]
        by_time_s = min(times) - run_s if times else None
        by_count_s = None
        if self._count and self._done:
            by_count_s = max(least_left_s, self._count_left_s(run_s, self._count))
        known = [left_s for left_s in (by_time_s, by_count_s) if left_s is not None]
        if not known:
            return ""
        return eta_words(max(0.0, min(known)))

    def _count_left_s(self, run_s: float, count: int) -> float:
        """Those under way are half done, on the average: the first answers are no slow start."""
        left = max(0, count - self._done)
        half_done = min(self._streams, left) / 2
        pace_s = run_s / (self._done + half_done)
        return pace_s * (left - half_done)

    def _count_tick(self, tick: Tick, at: float) -> None:
        self._done += tick.done
        self._errors += tick.errors
        if tick.done > tick.errors:
            self._failing = 0
            self._good_at = at
        else:
            self._failing += tick.errors
        self._last_error = tick.last_error or self._last_error
        self._last_kind = tick.last_kind or self._last_kind
        self._ttfts.extend(tick.ttfts_ms)
        self._recent.append(TickAt(at, tick.tokens))
        while self._recent and self._recent[0].at_s < at - RECENT_S:
            self._recent.popleft()

    def _tokens_per_s(self, at: float) -> float:
        run_s = at - self._start
        span_s = max(LEAST_SPAN_S, min(RECENT_S, run_s))
        tokens = sum(count for _, count in self._recent)
        return tokens / span_s

    def _so_far(self, at: float) -> float:
        """Requests, or seconds where a level has a duration."""
        if self._count:
            done = min(self._done, self._count)
            if self._least_s:  # it goes on until then, however many have ended
                share = min(1.0, (at - self._start) / self._least_s)
                return min(done, round(self._count * share, 1))
            return done
        if not self._duration_s:
            return 0.0
        run_s = round(at - self._start, 1)
        return min(self._duration_s, run_s)

    def end(self) -> None:
        total = self._total() or self._done
        self._progress.update(self._stage, total, total)

    def beyond_limit(self) -> str | None:
        """Which limit of the user's ends the level; None within it."""
        if self._abort_after is None or self._errors < self._abort_after:
            return None
        return (
            f"{counted(self._errors, 'request')} failed, --abort-after is {self._abort_after} "
            f"({self._last_error})"
        )

    def hopeless(self) -> str | None:
        """Why the level should be broken off; None while there is hope."""
        if self._last_kind is not ErrorKind.REFUSED:
            return None
        silent_s = time.monotonic() - self._good_at
        is_silent = self._failing >= FEWEST_FAILURES and silent_s > GONE_S
        if self._failing < self._patience and not is_silent:
            return None
        return f"the server is gone: {self._failing} requests in a row failed ({self._last_error})"


def _rate_words(rate_per_s: float) -> str:
    """With a decimal where the server is so slow that it counts."""
    decimals = 1 if rate_per_s < SLOW_PER_S else 0
    return f"{rate_per_s:,.{decimals}f}"
