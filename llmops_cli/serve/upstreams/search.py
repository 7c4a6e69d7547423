"""One request's way from upstream to upstream, until one of them answers."""

from __future__ import annotations

from llmops_cli.serve.upstreams.canary import CANARY
from llmops_cli.serve.upstreams.candidate import RoutingCandidate
from llmops_cli.serve.upstreams.exchange import Failure, UpstreamExchange
from llmops_cli.serve.upstreams.outcome import Outcome
from llmops_cli.serve.upstreams.statuses import Meaning
from llmops_cli.serve.upstreams.upstream import Upstream


class Search:
    """`who` asks. `sent`: how often it has gone out. `candidates`: those that may be asked still.

    `suspect`: the canary that failed, refused the request, or answered with nothing; whose fault
    that is the stable side tells. `is_doubted`: it did not fail outright. `held`: what it said, if
    that may be passed on.
    """

    def __init__(
        self,
        candidates: list[RoutingCandidate],
        who: str,
        *,
        generation: int = 0,
    ) -> None:
        """`generation`: of the members among whom it was begun."""
        self.candidates = candidates
        self.generation = generation
        self.who = who
        self.tried: list[Upstream] = []
        self.sent = 0
        self.failure: Failure | None = None
        self.suspect: RoutingCandidate | None = None
        self.is_doubted = False
        self.held: UpstreamExchange | None = None

    @property
    def needs_fresh(self) -> bool:
        """Whether a connection that was kept has just been lost."""
        return self.failure is not None and self.failure.again

    def welcome(self, candidates: list[RoutingCandidate], generation: int) -> None:
        """Members that have come since."""
        self.generation = generation
        self.candidates += [each for each in candidates if each.upstream not in self.tried]

    def failed(self, candidate: RoutingCandidate, failure: Failure) -> None:
        """It gave no answer that could be passed on."""
        self.failure = failure
        if failure.again:
            return
        self.tried.append(candidate.upstream)
        if failure.meaning in (Meaning.REFUSAL, Meaning.REQUEST):
            self._leave_out(candidate.upstream)
        if candidate.side == CANARY:
            self._leave_canary()

    def doubt(self, candidate: RoutingCandidate, answer: UpstreamExchange | Failure) -> None:
        """The stable side is asked as well."""
        self.suspect = candidate
        self.is_doubted = True
        if isinstance(answer, UpstreamExchange):
            self.held = answer
            answer.counts_for_nothing()
        else:
            self.failure = answer
        self.tried.append(candidate.upstream)
        self._leave_canary()

    def _leave_out(self, upstream: Upstream) -> None:
        others = [each for each in self.candidates if each.upstream is not upstream]
        self.candidates = others or self.candidates

    def _leave_canary(self) -> None:
        """Somebody of the stable side answers in its place, if there is one."""
        stable = [each for each in self.candidates if each.side != CANARY]
        self.candidates = stable or self.candidates

    def has_stable(self) -> bool:
        """Whether a request that a canary did not answer well can be tried without it."""
        return any(
            each.side != CANARY
            and each.upstream not in self.tried
            and each.upstream.usable(self.who)
            for each in self.candidates
        )

    def has_others(self, *, full_too: bool) -> bool:
        """`full_too`: a place is waited for, since the one that refuses us will not do."""
        for each in self.candidates:
            if each.is_free(self.tried, self.who):
                return True
            if full_too and each.upstream not in self.tried and each.upstream.usable(self.who):
                return True
        return False

    def take_held(self) -> UpstreamExchange | None:
        """What the canary said is the best that there is."""
        held = self.held
        self.held = None
        return held

    def drop_held(self) -> None:
        if self.held is not None:
            self.held.end(Outcome.NOTHING)
            self.held = None
