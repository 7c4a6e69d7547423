"""One upstream asked once."""

from __future__ import annotations

import time

import msgspec

from llmops_cli.serve.context import RequestContext
from llmops_cli.serve.refusal import Headers
from llmops_cli.serve.upstreams.canaries import Canaries
from llmops_cli.serve.upstreams.candidate import RoutingCandidate
from llmops_cli.serve.upstreams.errors import MalformedAnswer, UpstreamError
from llmops_cli.serve.upstreams.exchange import BAD, UpstreamExchange
from llmops_cli.serve.upstreams.first_words import first_words, says_error
from llmops_cli.serve.upstreams.opening import RoutedRequest, opened
from llmops_cli.serve.upstreams.queues import Queues
from llmops_cli.serve.upstreams.reply import Reply
from llmops_cli.serve.upstreams.upstream import Upstream
from llmops_cli.serve.watch.metrics import Metrics

JSON = (b"Content-Type", b"application/json")
_decode = msgspec.json.Decoder(msgspec.Raw).decode


class Attempts:
    """Asks, and notes what came of it: for the breaker, the canary and the metrics."""

    def __init__(
        self,
        canaries: Canaries,
        metrics: Metrics,
        queues: Queues,
    ) -> None:
        self._canaries = canaries
        self._metrics = metrics
        self.queues = queues

    async def attempt(
        self, candidate: RoutingCandidate, request: RoutedRequest
    ) -> UpstreamExchange:
        """Until a stream has begun, or all of another answer is there.

        So long nothing was sent to the client, and somebody else can be asked.
        Raises: UpstreamError.
        """
        upstream = candidate.upstream
        start = time.monotonic()
        upstream.begin(request.tokens)
        try:
            reply, body = await _ask(candidate, request)
        except UpstreamError as error:
            request.context.observed.error = str(error)
            self._metrics.upstream_failed(upstream.name, error)
            self.note(candidate, request, good=False)
            self.over(upstream, request.tokens, good=False)
            raise
        except BaseException:
            self.over(upstream, request.tokens, good=None)
            raise
        good = reply.status not in BAD
        if good:
            upstream.answered()
        else:
            self._metrics.upstream_failed(upstream.name, reply.status)
        ttft_s = time.monotonic() - start
        self.note(candidate, request, good=good, ttft_s=ttft_s)
        request.context.observed.upstream = upstream.name
        request.context.observed.side = candidate.side
        return UpstreamExchange(candidate, reply, body, tokens=request.tokens, queues=self.queues)

    def over(
        self,
        upstream: Upstream,
        tokens: int,
        *,
        good: bool | None,
    ) -> None:
        """The upstream has a place again."""
        upstream.end(tokens, good=good)
        self.queues.freed()

    def note(
        self,
        candidate: RoutingCandidate,
        request: RoutedRequest,
        *,
        good: bool,
        ttft_s: float = 0.0,
    ) -> None:
        """For the canary, if the model has one."""
        if request.settings.canary is None:
            return
        if not good:
            ttft_s = 0.0
        self._canaries.note(request.alias, candidate.side, good=good, ttft_s=ttft_s)


async def _ask(candidate: RoutingCandidate, request: RoutedRequest) -> tuple[Reply, bytes | None]:
    """The reply, and its body if it is no stream. Raises: UpstreamError."""
    origin = candidate.upstream.origin
    within_s = request.context.asked.left_s()
    reply = await opened(candidate, request, _headers(request.context), within_s=within_s)
    try:
        await reply.begun()
        if is_stream(reply):
            await _begin_stream(reply, held=candidate.held)
            return reply, None
        body = await reply.read()
        if reply.status == 200:
            _check_json(body)
    except BaseException:
        origin.release(reply)
        raise
    return reply, body


def _headers(context: RequestContext) -> Headers:
    headers = [JSON, (b"X-Request-Id", context.asked.id.encode())]
    trace = context.observed.trace
    if trace is not None:
        headers.append((b"traceparent", trace.parent()))
    return headers


def is_stream(reply: Reply) -> bool:
    for name, value in reply.headers:
        if name == b"content-type" and value.startswith(b"text/event-stream"):
            return True
    return False


async def _begin_stream(reply: Reply, *, held: bool) -> None:
    """Raises: UpstreamError."""
    if held:
        await first_words(reply)
    if says_error(reply.peek()):
        raise UpstreamError("the stream began with an error")


def _check_json(body: bytes) -> None:
    """Raises: UpstreamError."""
    try:
        _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise MalformedAnswer("no JSON") from None
