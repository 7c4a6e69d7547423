"""How long an answer may take, and whose limit it was that has passed."""

from __future__ import annotations

import msgspec

from llmops_cli.serve.upstreams.errors import (
    Blame,
    ClientDeadline,
    FirstByteTimeout,
    TotalTimeout,
    UpstreamTimeout,
)


class Patience(msgspec.Struct, frozen=True):
    """How long an answer may take, by the loop's clock. `is_clients`: `deadline` is its own."""

    first_by: float
    deadline: float
    between_s: float
    is_clients: bool

    def passed_at(self, now: float, *, was_paused: bool = False) -> UpstreamTimeout:
        """Whose limit it was. An upstream that had to wait for the client took no longer itself."""
        if now < self.deadline:
            return FirstByteTimeout()
        if self.is_clients:
            return ClientDeadline()
        return TotalTimeout(Blame.CLIENT if was_paused else Blame.UPSTREAM)
