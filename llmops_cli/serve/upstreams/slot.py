"""A request's place at an upstream, taken when it is sent and given back once."""

from __future__ import annotations

from llmops_cli.serve.upstreams.breaker import Breaker
from llmops_cli.serve.upstreams.outcome import Outcome
from llmops_cli.serve.upstreams.queues import Queues
from llmops_cli.serve.upstreams.upstream import Upstream


class UpstreamSlot:
    """`who` asks: a key, or else an address.

    Whether this request is the probe of an open breaker is its own knowledge. So what ends beside
    a probe neither closes the breaker nor takes the probe's place.
    """

    __slots__ = (
        "_has_begun",
        "_is_probe",
        "_openings",
        "_queues",
        "_tokens",
        "_upstream",
        "_who",
    )

    def __init__(
        self,
        upstream: Upstream,
        tokens: int,
        queues: Queues,
        *,
        who: str = "",
    ) -> None:
        self._upstream = upstream
        self._who = who
        self._tokens = tokens
        self._queues = queues
        self._has_begun = False
        upstream.in_flight += 1
        upstream.outstanding += tokens
        self._is_probe = upstream.breaker.begin()
        self._openings = upstream.breaker.openings

    def answered(self) -> None:
        """An answer has begun."""
        self._has_begun = True
        self._upstream.answers += 1
        self._upstream.alive()
        if self._is_current():
            self._upstream.breaker.answered(self._who, probe=self._is_probe)
        self._is_probe = False

    def refused(self) -> None:
        """It said that it does not take this request: it is alive, and no more is known."""
        self._upstream.alive()
        if self._is_probe:
            self._upstream.breaker.closes_on_trial()
            self._is_probe = False

    def end(self, outcome: Outcome) -> None:
        upstream = self._upstream
        upstream.in_flight -= 1
        upstream.outstanding -= self._tokens
        upstream.failures += outcome is Outcome.BAD
        if self._is_current():
            self._tell(upstream.breaker, outcome)
        self._queues.freed(upstream)

    def _is_current(self) -> bool:
        """What was asked before the breaker opened says no more to it."""
        return self._openings == self._upstream.breaker.openings

    def _tell(self, breaker: Breaker, outcome: Outcome) -> None:
        if outcome is Outcome.BAD:
            breaker.failed(self._who, begun=self._has_begun, probe=self._is_probe)
        elif outcome is Outcome.GOOD and self._has_begun:
            breaker.ended_well()
        elif self._is_probe:
            breaker.undecided()
