"""All canaries of a gateway: what all workers saw of them is kept in SQLite, and decided on."""

from __future__ import annotations

import hashlib
import json
import logging
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
from msgspec import structs

from llmops_cli.core.wrong_json import UNREADABLE, wrong_in
from llmops_cli.gateway_file.model import CanaryConfig, ModelConfig
from llmops_cli.serve.rollout.history import GATEWAY, Action, Deployment, record, within
from llmops_cli.serve.state import connect_serving
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
from llmops_cli.serve.upstreams.canary_order import CanaryOrder

LOG = logging.getLogger("llmops.gateway")


class Canaries:
    """`tick` runs about once a second in each worker; each step is taken once."""

    def __init__(self, folder: Path) -> None:
        self._db = connect_serving(folder)
        self._configs: dict[str, CanaryConfig] = {}
        self._states: dict[str, CanaryState] = {}
        self._new: dict[str, dict[str, SideStats]] = {}
        self._served = ""

    def configure(self, models: dict[str, ModelConfig], *, digest: str = "") -> None:
        """A canary that was changed in the file begins anew. `digest`: of all that is served."""
        self._served = digest
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
        return 0 if state is None else _percent(self._configs[name], state)

    def states(self) -> dict[str, CanaryState]:
        return dict(self._states)

    def order(
        self,
        name: str,
        order: CanaryOrder,
        check: Callable[[sqlite3.Connection], None],
    ) -> bool:
        """Whether anything had to be done. `check` comes first, in the same transaction.

        Raises: Refusal; sqlite3.Error.
        """
        config = self._configs[name]
        with within(self._db):
            check(self._db)
            kept = self._kept(name)
            state = _continued(kept, config) or _new(config)
            is_done = order.apply(config, state)
            if is_done:
                self._new.pop(name, None)
                done = _deployed(order.action, order.reason, percent=_percent(config, state))
                self._record(name, structs.replace(done, who=order.who, key=order.key))
            self._keep(name, state, kept)
        self._states[name] = state
        return is_done

    def config(self, name: str) -> CanaryConfig | None:
        return self._configs.get(name)

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
                return  # the next one would wait as long

    def _tick(self, name: str, config: CanaryConfig) -> None:
        new = self._new.get(name, {})
        with within(self._db):
            kept = self._kept(name)
            state = _continued(kept, config)
            if state is None:
                state = _new(config)
                new = {}
            if state.state is CanaryStatus.RUNNING:  # afterwards it shows what was decided on
                for side, more in new.items():
                    state.sides[side].add(more)
                done = _decide(name, config, state)
                if done is not None:
                    self._record(name, done)
            self._keep(name, state, kept)
        self._states[name] = state
        self._new.pop(name, None)  # told; where nothing could be written it is told later

    def _keep(
        self,
        name: str,
        state: CanaryState,
        kept: bytes | None,
    ) -> None:
        raw = msgspec.json.encode(state)
        if raw != kept:
            self._db.execute("insert or replace into canaries values (?, ?)", (name, raw))

    def _record(self, name: str, done: Deployment) -> None:
        record(self._db, structs.replace(done, model=name, digest=self._served))

    def _kept(self, name: str) -> bytes | None:
        rows = self._db.execute("select state from canaries where name = ?", (name,))
        row = rows.fetchone()
        return None if row is None else bytes(row[0])


def _percent(config: CanaryConfig, state: CanaryState) -> int:
    if state.state is CanaryStatus.ROLLED_BACK:
        return 0
    if state.state is CanaryStatus.DONE:
        return 100
    return config.steps[state.step]


def _deployed(action: Action, reason: str, *, percent: int) -> Deployment:
    return Deployment(
        at=time.time(),
        who=GATEWAY,
        action=action,
        percent=percent,
        digest="",
        reason=reason,
    )


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
    except UNREADABLE:
        reason = wrong_in(kept, CanaryState)
        LOG.warning("a canary's state cannot be read and begins anew: %s", reason)
        return None
    return state if state.digest == _digest(config) else None


def _decide(
    name: str,
    config: CanaryConfig,
    state: CanaryState,
) -> Deployment | None:
    """Back, on, or neither yet."""
    reason = verdict(config, state.sides)
    if reason:
        state.state = CanaryStatus.ROLLED_BACK
        state.reason = reason
        LOG.error("canary %s is rolled back: %s", name, reason)
        return _deployed(Action.ROLLBACK, reason, percent=0)
    now = time.time()
    if now - state.since < config.step_s or not _has_seen_enough(config, state):
        return None
    if state.step + 1 < len(config.steps):
        state.step += 1
        action = Action.STEP
        LOG.warning("canary %s: now %s %%", name, config.steps[state.step])
    else:
        state.state = CanaryStatus.DONE
        action = Action.PROMOTE
        LOG.warning("canary %s: done", name)
    state.since = now
    state.sides[CANARY] = SideStats(ttft={}, tpot={})  # the old side stays what is compared with
    return _deployed(action, "as good as what was there", percent=_percent(config, state))


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
