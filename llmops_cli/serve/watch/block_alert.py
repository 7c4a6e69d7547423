"""An alert where the guard stops more than usual: an attack, or a policy that is too strict."""

from __future__ import annotations

import logging
from collections import deque
from typing import NamedTuple

LOG = logging.getLogger("llmops.gateway")
LEAST_JUDGED = 20
"""Judged requests in a minute before a block rate says anything."""
WINDOW_TICKS = 60


class Judgements(NamedTuple):
    """Requests that the guard has read, and stopped, since the start."""

    judged: int
    blocked: int


class BlockAlert:
    """Looks about once a second, at the last minute."""

    def __init__(self) -> None:
        self._seen = deque([Judgements(0, 0)], maxlen=WINDOW_TICKS)
        self._alerted = False

    def look(self, now: Judgements, *, alert_above: float) -> float:
        """The share that was blocked; said once when it gets too high."""
        self._seen.append(now)
        before = self._seen[0]
        judged = now.judged - before.judged
        blocked = now.blocked - before.blocked
        rate = 0.0
        if judged >= LEAST_JUDGED:
            rate = blocked / judged
        is_high = rate > alert_above
        if is_high and not self._alerted:
            LOG.error(
                "the guard blocks %.0f %% of the requests (%d of %d in the last minute)",
                rate * 100,
                blocked,
                judged,
            )
        self._alerted = is_high
        return rate
