"""What came of asking upstreams: an exchange that goes on, or no answer."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from llmops_cli.core.wrong_json import UNREADABLE
from llmops_cli.serve.refusal import Headers, retry_after
from llmops_cli.serve.upstreams.canary import Sighting
from llmops_cli.serve.upstreams.candidate import RoutingCandidate
from llmops_cli.serve.upstreams.errors import (
    AnswerTooLarge,
    Blame,
    ClientDeadline,
    ErrorInStream,
    KeptConnectionLost,
    UpstreamError,
    UpstreamTimeout,
)
from llmops_cli.serve.upstreams.outcome import Outcome
from llmops_cli.serve.upstreams.reply import Reply
from llmops_cli.serve.upstreams.slot import UpstreamSlot
from llmops_cli.serve.upstreams.statuses import (
    CLEAR,
    OVERLOADED,
    Meaning,
    is_redirect,
    meaning_of,
)

KEPT_HEADERS = (b"retry-after", b"content-type")
AT_ONCE_S = 1e-6
"""Of what came in one piece."""
Note = Callable[[Sighting], None]
"""Tells the canary, where there is one."""
BAD_GATEWAY = 502
REPEATED = (BAD_GATEWAY, 503, OVERLOADED)
"""What is worth asking the same upstream again."""
CLIENT_LATE = 408
"""What the client's own deadline cuts is no failure of a server's, in no figure of them."""
BUG = 500
"""A server's own; what no upstream explains is not ours."""


class UpstreamExchange:
    """An answer at one upstream: whole (`body`), or a stream that has begun.

    `first_s`: until it had begun. `is_doubtful`: no answer that is plainly good; whether that is
    the request's fault, only another upstream can tell. `unsent`: fields that it was not sent.
    `end` must follow, once.
    """

    __slots__ = (
        "_began",
        "_ended",
        "_note",
        "_slot",
        "body",
        "candidate",
        "first_s",
        "is_doubtful",
        "meaning",
        "reply",
        "unsent",
    )

    def __init__(
        self,
        candidate: RoutingCandidate,
        reply: Reply,
        body: bytes | None,
        *,
        slot: UpstreamSlot,
        meaning: Meaning,
        first_s: float,
        is_doubtful: bool,
        note: Note | None,
    ) -> None:
        self.candidate = candidate
        self.reply = reply
        self.body = body
        self.meaning = meaning
        self.first_s = first_s
        self.is_doubtful = is_doubtful
        self.unsent: tuple[str, ...] = ()
        self._began = time.monotonic()
        self._slot = slot
        self._note = note
        self._ended = False

    @property
    def is_bad(self) -> bool:
        """Whether another upstream may know better."""
        return not self.meaning.is_passed_on

    @property
    def has_ended(self) -> bool:
        return self._ended

    def counts_for_nothing(self) -> None:
        """What the canary should know of this request is told otherwise."""
        self._note = None

    def lose(self) -> None:
        """Another copy of the request was answered first, or better."""
        if self.meaning is Meaning.FAILURE:
            self.end(Outcome.BAD)
            return
        if self._note is not None and self.is_bad:
            self._note(Sighting.ERROR)
        self.end(Outcome.NOTHING)

    def end(self, outcome: Outcome, *, tokens: int = 0) -> None:
        """`tokens`: of the whole answer, if it was streamed."""
        if self._ended:
            return
        self._ended = True
        if self._note is not None and outcome is not Outcome.NOTHING:
            self._note(self._sighting(outcome, tokens))
        self._slot.end(outcome)
        self.candidate.upstream.origin.release(self.reply)

    def _sighting(self, outcome: Outcome, tokens: int) -> Sighting:
        if outcome is Outcome.BAD:
            return Sighting.ERROR
        if self.is_doubtful:
            return Sighting.DOUBTFUL
        return Sighting(ttft_s=self.first_s, tpot_s=self._tpot_s(tokens))

    def _tpot_s(self, tokens: int) -> float:
        """By the upstream's own bytes; 0 where the client made it wait."""
        if self.body is not None or tokens < 2 or self.reply.was_paused:
            return 0.0
        return max(AT_ONCE_S, self.reply.last_s() - self._began) / (tokens - 1)


class Failure(NamedTuple):
    """What the last upstream said, if nobody says better.

    `is_clients`: nobody can do better for this request, or in the time that it has.
    `is_upstreams`: it is the upstream's own doing. `again`: the same upstream may do better
    at once.
    """

    status: int
    message: str
    body: bytes | None = None
    headers: tuple[tuple[bytes, bytes], ...] = ()
    late: bool = False
    meaning: Meaning = Meaning.FAILURE
    is_clients: bool = False
    is_upstreams: bool = True
    again: bool = False

    @property
    def is_doubtful(self) -> bool:
        """Whether that may be the request's fault."""
        return self.meaning is not Meaning.FAILURE

    @property
    def code(self) -> str:
        """For clients' programs."""
        if self.late:
            return "deadline_exceeded" if self.is_clients else "upstream_timeout"
        if self.meaning is Meaning.REFUSAL:
            return "upstream_refused"
        return "upstream_unavailable"

    @property
    def is_worth_repeating(self) -> bool:
        """At the same upstream: a connection that broke may work again.

        What was late or refused will not.
        """
        if self.again:
            return True
        return not self.late and self.meaning is Meaning.FAILURE and self.status in REPEATED


class NoAnswer(Exception):
    """Nobody answered."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def no_reply(candidate: RoutingCandidate, error: UpstreamError) -> Failure:
    """The upstream did not answer."""
    if isinstance(error, ErrorInStream):
        return _told_in_stream(candidate, error)
    if isinstance(error, ClientDeadline):
        return Failure(
            CLIENT_LATE,
            str(error),
            late=True,
            is_clients=True,
            is_upstreams=False,
        )
    if isinstance(error, AnswerTooLarge):
        return Failure(BAD_GATEWAY, str(error), is_clients=True, is_upstreams=False)
    late = isinstance(error, UpstreamTimeout)
    return Failure(
        504 if late else BAD_GATEWAY,
        str(error),
        late=late,
        is_upstreams=error.blame is Blame.UPSTREAM,
        again=isinstance(error, KeptConnectionLost),
    )


def _told_in_stream(candidate: RoutingCandidate, error: ErrorInStream) -> Failure:
    """An error that says of itself that the request is wrong is one."""
    meaning = meaning_of(error.status)
    if meaning is not Meaning.REQUEST:
        return Failure(502, str(error))
    kind = (b"content-type", b"application/json")
    said = candidate.upstream.origin.hides(error.said)
    return Failure(
        error.status,
        str(error),
        said,
        (kind,),
        meaning=meaning,
        is_clients=True,
    )


def refused(exchange: UpstreamExchange) -> Failure:
    """The upstream answered with an error: it rests as long as it asks for."""
    reply = exchange.reply
    candidate = exchange.candidate
    meaning = exchange.meaning
    exchange.counts_for_nothing()  # the search tells the canary of failures
    exchange.end(Outcome.BAD if meaning is Meaning.FAILURE else Outcome.NOTHING)
    rest_s = _rest_s(reply.headers)
    if rest_s:
        candidate.upstream.rest(rest_s)
    if meaning is Meaning.REFUSAL:
        return Failure(BAD_GATEWAY, _refusal_of(reply), meaning=meaning)
    message = f"the upstream answered {reply.status}"
    status = reply.status if reply.status in CLEAR else BAD_GATEWAY
    kept = tuple(header for header in reply.headers if header[0] in KEPT_HEADERS)
    body = exchange.body or b""
    if status != reply.status or not _is_object(body):
        rest = tuple(header for header in kept if header[0] == b"retry-after")
        status = BAD_GATEWAY if status == BUG else status
        return Failure(status, message, headers=rest, meaning=meaning)
    shown = candidate.upstream.origin.hides(body)
    return Failure(status, message, shown, kept, meaning=meaning)


def _refusal_of(reply: Reply) -> str:
    """For clients: whose key or address it is that is wrong they need not know."""
    if is_redirect(reply.status):
        return f"the upstream redirects to {reply.redirect_host}; put that address into its url"
    return "no upstream of this model takes what the gateway asks; its operator has been told"


def _is_object(body: bytes) -> bool:
    """Clients read JSON; a proxy's page of HTML tells them nothing."""
    try:
        return isinstance(msgspec.json.decode(body), dict)
    except UNREADABLE:
        return False


def out_of_service(candidates: list[RoutingCandidate]) -> Failure:
    """None of them may be asked."""
    wait_s = min(each.upstream.usable_in_s() for each in candidates)
    message = "every upstream of this model is out of service"
    return Failure(503, message, headers=tuple(retry_after(wait_s)))


def _rest_s(headers: Headers) -> float:
    """Of Retry-After; a date counts as not given."""
    value = dict(headers).get(b"retry-after")
    if not value:
        return 0.0
    try:
        return max(0.0, float(value))
    except ValueError:
        return 0.0
