"""How a gateway ends: balancers hear of it, its streams go on to their end, then it is killed.

A cluster kills what is left after its grace period, so that must hold all three.
"""

from __future__ import annotations

import math

import msgspec

from llmops_cli.deploy.knob import Knob, Manifest
from llmops_cli.gateway_file.config import GatewayConfig
from llmops_cli.gateway_file.quantities import DAY_S

BEFORE_END_S = 10
"""Until nobody sends new connections to a pod that is going to end (preStop)."""
SPARE_S = 20
"""After its streams: workers are waited for 5 s, logs and spending are written."""


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """`drain_s`: limits.drain_s of the rendered file. `note`: where that is from."""

    drain_s: int
    note: str

    @property
    def grace_s(self) -> int:
        return BEFORE_END_S + self.drain_s + SPARE_S

    def grace(self) -> Knob:
        """The period, which says of what it is the sum."""
        return Knob(
            self.grace_s,
            f"{BEFORE_END_S} s of preStop, {self.drain_s} s of limits.drain_s and {SPARE_S} s",
        )

    def written_into(self, file: Manifest) -> Manifest:
        """A gateway's file that drains as long as this says, whatever it said itself."""
        limits = file.get("limits") or {}
        drain = Knob(self.drain_s, self.note)
        return file | {"limits": {**limits, "drain_s": drain}}


def ending_of(config: GatewayConfig, written: Manifest) -> Ending:
    """As long as the file says, or else as long as its longest answer may take."""
    limits = written.get("limits") or {}
    if "drain_s" in limits:
        return Ending(drain_s=math.ceil(config.limits.drain_s), note="limits.drain_s of the file")
    longest_s = max(each.timeouts.total_s for each in config.upstreams.values())
    note = "the longest timeouts.total_s"
    if any(each.max_in_flight is not None for each in config.upstreams.values()):
        longest_s += config.queue.wait_s
        note = f"{note} and queue.wait_s"
    return Ending(drain_s=min(math.ceil(longest_s), DAY_S), note=note)
