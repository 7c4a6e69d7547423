"""What came of asking upstreams: an exchange that goes on, or no answer."""

from __future__ import annotations

from typing import NamedTuple

from llmops_cli.serve.refusal import Headers, retry_after
from llmops_cli.serve.upstreams.candidate import RoutingCandidate
from llmops_cli.serve.upstreams.errors import UpstreamError, UpstreamTimeout
from llmops_cli.serve.upstreams.queues import Queues
from llmops_cli.serve.upstreams.reply import Reply

BAD = (500, 502, 503, 504, 529)
"""Of these another upstream may know better. 529: overloaded, as some say it."""
TOO_MANY = 429
KEPT_HEADERS = (b"retry-after", b"content-type")


class UpstreamExchange:
    """An answer at one upstream: whole (`body`), or a stream that has begun.

    `end` must follow, once.
    """

    __slots__ = ("_ended", "_queues", "_tokens", "body", "candidate", "reply")

    def __init__(
        self,
        candidate: RoutingCandidate,
        reply: Reply,
        body: bytes | None,
        *,
        tokens: int,
        queues: Queues,
    ) -> None:
        self.candidate = candidate
        self.reply = reply
        self.body = body
        self._tokens = tokens
        self._queues = queues
        self._ended = False

    @property
    def is_bad(self) -> bool:
        """Whether the upstream failed."""
        return self.reply.status in BAD

    def end(self, *, good: bool | None) -> None:
        """`good`: None if this says nothing of the upstream."""
        if self._ended:
            return
        self._ended = True
        upstream = self.candidate.upstream
        upstream.end(self._tokens, good=good)
        upstream.origin.release(self.reply)
        self._queues.freed()


class Failure(NamedTuple):
    """What the last upstream said, if nobody says better."""

    status: int
    message: str
    body: bytes | None = None
    headers: tuple[tuple[bytes, bytes], ...] = ()
    late: bool = False

    @property
    def is_worth_repeating(self) -> bool:
        """At the same upstream: a connection that broke may work again.

        What was late or refused will not.
        """
        return not self.late and self.status in (502, 503)


class NoAnswer(Exception):
    """Nobody answered."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def no_reply(error: UpstreamError) -> Failure:
    """The upstream did not answer."""
    late = isinstance(error, UpstreamTimeout)
    return Failure(504 if late else 502, str(error), late=late)


def refused(exchange: UpstreamExchange) -> Failure:
    """The upstream answered with an error: it rests as long as it asks for."""
    reply = exchange.reply
    exchange.end(good=None if reply.status == TOO_MANY else False)
    rest_s = _rest_s(reply.headers)
    if rest_s:
        exchange.candidate.upstream.rest(rest_s)
    kept = tuple(header for header in reply.headers if header[0] in KEPT_HEADERS)
    message = f"the upstream answered {reply.status}"
    return Failure(reply.status, message, exchange.body or b"", kept)


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
