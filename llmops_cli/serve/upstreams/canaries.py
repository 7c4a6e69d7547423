"""All canaries of a gateway: what all workers saw of them is kept in SQLite, and decided on."""

from __future__ import annotations

import hashlib
import json
import logging
import sqlite3
import time
from pathlib import Path

import msgspec

from llmops_cli.gateway_file.model import CanaryConfig, ModelConfig
from llmops_cli.serve.state import connect
from llmops_cli.serve.upstreams.canary import (
    CANARY,
    ENOUGH,
    STABLE,
    CanaryState,
    CanaryStatus,
    SideStats,
    Sighting,
    new_sides,
    verdict,
)

LOG = logging.getLogger("llmops.gateway")


class Canaries:
    """`tick` runs about once a second in each worker; each step is taken once."""

    def __init__(self, folder: Path) -> None:
        self._db = connect(folder)
        self._configs: dict[str, CanaryConfig] = {}
        self._states: dict[str, CanaryState] = {}
        self._new: dict[str, dict[str, SideStats]] = {}

    def configure(self, models: dict[str, ModelConfig]) -> None:
        """A canary that was changed in the file begins anew."""
        self._configs = {}
        for name, model in models.items():
            if model.canary is not None:
                self._configs[name] = model.canary
        for name in set(self._states) - set(self._configs):
            del self._states[name]
        self.tick()

    def percent(self, name: str) -> int:
        """Of the traffic, that the new side gets now."""
        state = self._states.get(name)
        if state is None or state.state is CanaryStatus.ROLLED_BACK:
            return 0
        if state.state is CanaryStatus.DONE:
            return 100
        return self._configs[name].steps[state.step]

    def states(self) -> dict[str, CanaryState]:
        return dict(self._states)

    def note(self, name: str, side: str, seen: Sighting) -> None:
        """One request, told to the other workers at the next tick."""
        sides = self._new.get(name)
        if sides is None:
            sides = new_sides()
            self._new[name] = sides
        sides[side].note(seen)

    def tick(self) -> None:
        for name, config in self._configs.items():
            try:
                self._tick(name, config)
            except sqlite3.Error as error:
                LOG.warning("canary %s: %s", name, error)

    def _tick(self, name: str, config: CanaryConfig) -> None:
        new = self._new.pop(name, {})
        self._db.execute("begin immediate")
        try:
            kept = self._kept(name)
            state = _continued(kept, config)
            if state is None:
                state = _new(config)
                new = {}
            if state.state is CanaryStatus.RUNNING:  # afterwards it shows what was decided on
                for side, more in new.items():
                    state.sides[side].add(more)
                _decide(name, config, state)
            raw = msgspec.json.encode(state)
            if raw != kept:
                self._db.execute("insert or replace into canaries values (?, ?)", (name, raw))
            self._db.execute("commit")
        finally:
            if self._db.in_transaction:  # a full disk; nobody else could write
                self._db.execute("rollback")
        self._states[name] = state

    def _kept(self, name: str) -> bytes | None:
        rows = self._db.execute("select state from canaries where name = ?", (name,))
        row = rows.fetchone()
        return None if row is None else bytes(row[0])


def _new(config: CanaryConfig) -> CanaryState:
    return CanaryState(
        digest=_digest(config),
        since=time.time(),
        sides=new_sides(),
    )


def _continued(kept: bytes | None, config: CanaryConfig) -> CanaryState | None:
    """The state that is kept, if it is this configuration's."""
    if kept is None:
        return None
    try:
        state = msgspec.json.decode(kept, type=CanaryState)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        LOG.warning("a canary's state cannot be read and begins anew: %s", error)
        return None
    return state if state.digest == _digest(config) else None


def _decide(
    name: str,
    config: CanaryConfig,
    state: CanaryState,
) -> None:
    """Back, on, or neither yet."""
    reason = verdict(config, state.sides)
    if reason:
        state.state = CanaryStatus.ROLLED_BACK
        state.reason = reason
        LOG.error("canary %s is rolled back: %s", name, reason)
        return
    now = time.time()
    if now - state.since < config.step_s or not _has_seen_enough(config, state):
        return
    if state.step + 1 < len(config.steps):
        state.step += 1
        LOG.warning("canary %s: now %s %%", name, config.steps[state.step])
    else:
        state.state = CanaryStatus.DONE
        LOG.warning("canary %s: done", name)
    state.since = now
    state.sides[CANARY] = SideStats(ttft={}, tpot={})  # the old side stays what is compared with


def _has_seen_enough(config: CanaryConfig, state: CanaryState) -> bool:
    """On both sides, of what says something.

    Where all goes to the new one from the start, nothing is compared.
    """
    needed = max(config.requests, ENOUGH)
    if state.sides[CANARY].requests < needed:
        return False
    is_alone = config.steps[0] == 100
    return is_alone or state.sides[STABLE].requests >= ENOUGH


def _digest(config: CanaryConfig) -> str:
    raw = json.dumps(msgspec.to_builtins(config), sort_keys=True)
    return hashlib.sha256(raw.encode()).hexdigest()[:16]
