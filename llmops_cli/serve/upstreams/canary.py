"""Canaries: how much of a model's traffic the new side gets, decided from what all workers saw,
kept in SQLite.
"""

from __future__ import annotations

import bisect
import hashlib
import json
import logging
import math
import sqlite3
import time
from pathlib import Path

import msgspec

from llmops_cli.gateway_file.model import CanaryConfig, ModelConfig
from llmops_cli.serve.state import connect

LOG = logging.getLogger("llmops.gateway")
EDGES_S = tuple(0.001 * 1.05**i for i in range(260))
"""Bounds of the TTFT histogram, 1 ms to 5 minutes, 5 % apart: as exact as the median of a few
hundred is.
"""
ENOUGH = 20
"""Requests on each side before anything is concluded."""
SIDES = ("stable", "canary")


class Side(msgspec.Struct):
    """What one side did at this step."""

    requests: int = 0
    errors: int = 0
    ttft: dict[int, int] = {}

    def add(self, other: Side) -> None:
        self.requests += other.requests
        self.errors += other.errors
        for bucket, count in other.ttft.items():
            self.ttft[bucket] = self.ttft.get(bucket, 0) + count

    def median_ttft_s(self) -> float | None:
        total = sum(self.ttft.values())
        seen = 0
        for bucket in sorted(self.ttft):
            seen += self.ttft[bucket]
            if seen * 2 >= total:
                return EDGES_S[min(bucket, len(EDGES_S) - 1)]
        return None

    def error_rate(self) -> float:
        return self.errors / self.requests if self.requests else 0.0


class State(msgspec.Struct):
    """Where a canary stands. `state`: running, done or rolled back."""

    digest: str
    step: int = 0
    since: float = 0.0
    state: str = "running"
    reason: str = ""
    sides: dict[str, Side] = {}


def verdict(config: CanaryConfig, sides: dict[str, Side]) -> str:
    """Why the canary must go back; empty if nothing says so."""
    stable = sides["stable"]
    canary = sides["canary"]
    if canary.requests < ENOUGH:
        return ""
    above = canary.error_rate() - stable.error_rate()
    noise = 2 * math.sqrt(
        max(stable.error_rate(), config.errors) / canary.requests
    )  # two standard errors of a share
    if above > config.errors + noise:
        return f"errors {canary.error_rate():.1%} against {stable.error_rate():.1%}"
    ours = canary.median_ttft_s()
    theirs = stable.median_ttft_s()
    measured = min(sum(side.ttft.values()) for side in (stable, canary))
    if ours and theirs and measured >= ENOUGH and ours > theirs * config.ttft:
        return f"median TTFT {ours * 1e3:.0f} ms against {theirs * 1e3:.0f} ms"
    return ""


class Canaries:
    """All canaries of one gateway. `tick` runs about once a second in each worker; each step is
    taken once.
    """

    def __init__(self, folder: Path) -> None:
        self._db = connect(folder)
        self._configs: dict[str, CanaryConfig] = {}
        self._states: dict[str, State] = {}
        self._new: dict[str, dict[str, Side]] = {}

    def configure(self, models: dict[str, ModelConfig]) -> None:
        """A canary that was changed in the file begins anew."""
        self._configs = {name: model.canary for name, model in models.items() if model.canary}
        for name in [name for name in self._states if name not in self._configs]:
            del self._states[name]
        self.tick()

    def share(self, name: str) -> int:
        """Percent of the traffic that the new side gets now."""
        state = self._states.get(name)
        if state is None or state.state == "rolled back":
            return 0
        return 100 if state.state == "done" else self._configs[name].steps[state.step]

    def states(self) -> dict[str, State]:
        return dict(self._states)

    def note(self, name: str, side: str, *, good: bool, ttft_s: float) -> None:
        found = self._new.setdefault(name, {each: Side(ttft={}) for each in SIDES})[side]
        found.requests += 1
        found.errors += not good
        if ttft_s:
            bucket = bisect.bisect_left(EDGES_S, ttft_s)
            found.ttft[bucket] = found.ttft.get(bucket, 0) + 1

    def tick(self) -> None:
        for name, config in self._configs.items():
            try:
                self._tick(name, config)
            except sqlite3.Error as error:
                LOG.warning("canary %s: %s", name, error)

    def _tick(self, name: str, config: CanaryConfig) -> None:
        digest = _digest(config)
        now = time.time()
        new = self._new.pop(name, {})
        self._db.execute("begin immediate")
        try:
            row = self._db.execute("select state from canaries where name = ?", (name,)).fetchone()
            state = msgspec.json.decode(row[0], type=State) if row else None
            if state is None or state.digest != digest:
                state = State(
                    digest=digest, since=now, sides={side: Side(ttft={}) for side in SIDES}
                )
                new = {}
            before = msgspec.json.encode(state)
            if state.state == "running":  # afterwards it shows what was decided on
                for side, more in new.items():
                    state.sides[side].add(more)
                self._decide(name, config, state, now)
            if msgspec.json.encode(state) != before or row is None:
                self._db.execute(
                    "insert or replace into canaries values (?, ?)",
                    (name, msgspec.json.encode(state)),
                )
        finally:
            self._db.execute("commit")
        self._states[name] = state

    def _decide(self, name: str, config: CanaryConfig, state: State, now: float) -> None:
        if reason := verdict(config, state.sides):
            state.state = "rolled back"
            state.reason = reason
            LOG.error("canary %s is rolled back: %s", name, reason)
        elif now - state.since >= config.step_s and self._has_seen_enough(config, state):
            last = state.step + 1 >= len(config.steps)
            if last:
                state.state = "done"
            else:
                state.step += 1
            LOG.warning(
                "canary %s: %s", name, "done" if last else f"now {config.steps[state.step]} %"
            )
            state.since, state.sides["canary"] = (
                now,
                Side(ttft={}),
            )  # the old side stays what is compared with

    def _has_seen_enough(self, config: CanaryConfig, state: State) -> bool:
        """On both sides; where everything goes to the new one from the start, there is nothing to
        compare with.
        """
        compared = state.sides["stable"].requests >= ENOUGH or config.steps[0] == 100
        return compared and state.sides["canary"].requests >= max(config.requests, ENOUGH)


def _digest(config: CanaryConfig) -> str:
    raw = json.dumps(msgspec.to_builtins(config), sort_keys=True)
    return hashlib.sha256(raw.encode()).hexdigest()[:16]
