"""A request finds an upstream that answers: retries, hedges, queues, all before the client has seen
a byte.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections import deque
from contextlib import suppress
from typing import NamedTuple

import msgspec

from llmops_cli.gateway_file.config import GatewayConfig
from llmops_cli.gateway_file.model import ModelConfig
from llmops_cli.serve.context import Fields, RequestContext, Urgency
from llmops_cli.serve.refusal import Refusal, retry_after
from llmops_cli.serve.upstreams.canary import Canaries
from llmops_cli.serve.upstreams.connection import (
    MalformedAnswer,
    Reply,
    UpstreamError,
    UpstreamTimeout,
)
from llmops_cli.serve.upstreams.routing import Choice, Router
from llmops_cli.serve.upstreams.upstream import Upstream
from llmops_cli.serve.watch.metrics import Metrics

PAUSE_S = 0.05
BURST = 10.0
BAD = (500, 502, 503, 504, 529)
"""Of these another upstream may know better. 529: overloaded, as some say it."""

PREAMBLE_MOST = 4096
WORDS = re.compile(
    rb'"(?:content|text|reasoning_content|reasoning|refusal|delta|arguments|name|finish_reason)": ?"[^"]'
)
"""The first of these that is not empty is what a client waits for."""

_any_json = msgspec.json.Decoder(msgspec.Raw).decode


class RetryBudget:
    """Retries are a share of the requests, so that a failing upstream is not asked three times as
    often.
    """

    def __init__(self, share: float) -> None:
        self._share = share
        self._left = BURST

    def request(self) -> None:
        self._left = min(BURST, self._left + self._share)

    def take(self) -> bool:
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Exchange:
    """An answer at one upstream: whole (`body`), or a stream that has begun. `end` must follow,
    once.
    """

    __slots__ = ("_ended", "_queues", "_tokens", "body", "choice", "reply")

    def __init__(
        self, choice: Choice, reply: Reply, body: bytes | None, *, tokens: int, queues: Queues
    ) -> None:
        self.choice = choice
        self.reply = reply
        self.body = body
        self._tokens = tokens
        self._queues = queues
        self._ended = False

    def end(self, *, good: bool | None) -> None:
        """`good`: None if this says nothing of the upstream."""
        if self._ended:
            return
        self._ended = True
        self.choice.upstream.end(self._tokens, good=good)
        self.choice.upstream.origin.release(self.reply)
        self._queues.freed()


class Failure(NamedTuple):
    """What the last upstream said, if nobody says better."""

    status: int
    said: str
    body: bytes | None = None
    headers: tuple[tuple[bytes, bytes], ...] = ()
    late: bool = False


class NoAnswer(Exception):
    """Nobody answered."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.said)
        self.failure = failure


class Queues:
    """Requests that wait because each upstream of their pool is full. Interactive ones go first."""

    def __init__(self) -> None:
        self._waiting: dict[
            str, tuple[deque[asyncio.Future[None]], deque[asyncio.Future[None]]]
        ] = {}
        self._waking: dict[str, int] = {}
        self._each_s = 0.0
        self._ended_at = 0.0

    def depth(self, name: str) -> int:
        waiting = self._waiting.get(name)
        return (sum(map(len, waiting)) if waiting else 0) + self._waking.get(name, 0)

    def total(self) -> int:
        return sum(self.depth(name) for name in self._waiting)

    def expected_s(self, name: str) -> float:
        """From how often places came free lately."""
        return self._each_s * (self.depth(name) + 1)

    def freed(self) -> None:
        if not self._waiting:
            return
        now = time.monotonic()
        if self._ended_at:
            self._each_s += 0.2 * (min(now - self._ended_at, 60.0) - self._each_s)
        self._ended_at = now
        for name in list(self._waiting):
            self._wake(name)

    def _wake(self, name: str) -> None:
        for line in self._waiting[name]:
            while line:
                place = line.popleft()
                if not place.done():
                    self._waking[name] = self._waking.get(name, 0) + 1
                    place.set_result(None)
                    return

    async def wait(self, name: str, *, urgent: bool, again: bool, seconds: float) -> bool:
        """Whether a place came free in time. Who was woken for nothing stands first again."""
        lines = self._waiting.setdefault(name, (deque(), deque()))
        line = lines[0 if urgent else 1]
        place = asyncio.get_running_loop().create_future()
        line.appendleft(place) if again else line.append(place)
        try:
            async with asyncio.timeout(seconds):
                await place
        except TimeoutError:
            pass
        finally:
            with suppress(ValueError):
                line.remove(place)
            woken = place.done() and not place.cancelled()
            if woken:
                self._waking[name] -= 1
            if not any(lines):
                self._waiting.pop(name, None)
        return woken


class Dispatcher:
    """One configuration's way from a request to an exchange."""

    def __init__(
        self, config: GatewayConfig, router: Router, canaries: Canaries, metrics: Metrics
    ) -> None:
        self._config = config
        self._router = router
        self._canaries = canaries
        self._metrics = metrics
        self._budget = RetryBudget(config.retries.budget)
        self.queues = Queues()
        self._shadows: set[asyncio.Task[None]] = set()

    async def open(self, name: str, context: RequestContext, fields: Fields) -> Exchange:
        """An exchange with a status below 500. Raises: Refusal; NoAnswer if nobody gave one."""
        alias, model = self._router.model(name)
        choices = self._router.choices(name, context.asked)
        if len(choices) > 1 or model.fallback:  # somebody else can be asked until a word was said
            choices = [choice._replace(held=True) for choice in choices]
        if not choices:
            raise NoAnswer(Failure(503, "the upstream does not list its models"))
        self._budget.request()
        new = [choice for choice in choices if choice.side == "canary"]
        if new and not any(choice.upstream.usable() for choice in new):
            self._note(alias, new[0], good=False)  # an open breaker is no reason to be thought well
        tried = list[Upstream]()
        failure = None
        retries = self._config.retries.most
        while (choice := await self._admit(alias, choices, tried, context)) is not None:
            spare = next((c for c in choices if c is not choice and _free(c, tried)), None)
            try:
                if model.hedge_after_s is None:
                    exchange = await self._attempt(choice, context, fields, alias)
                else:
                    exchange = await self._ask(model, choice, spare, context, fields, alias)
            except UpstreamError as error:
                late = isinstance(error, UpstreamTimeout)
                failure = Failure(504 if late else 502, str(error), late=late)
            else:
                if exchange.reply.status not in BAD and exchange.reply.status != 429:
                    return exchange
                failure = _failed(exchange)
            tried.append(choice.upstream)
            retries -= 1
            others = any(_free(c, tried) for c in choices)
            if retries < 0 or not (others or _worth_repeating(failure)) or not self._budget.take():
                break
            self._metrics.retried(alias)
            if not others:
                await asyncio.sleep(PAUSE_S * 2 ** len(tried) * random.uniform(0.5, 1.0))
        raise NoAnswer(failure or self._all_out(choices))

    def _all_out(self, choices: list[Choice]) -> Failure:
        wait_s = min(choice.upstream.usable_in_s() for choice in choices)
        return Failure(
            503, "every upstream of this model is out of service", None, tuple(retry_after(wait_s))
        )

    async def _admit(
        self, alias: str, choices: list[Choice], tried: list[Upstream], context: RequestContext
    ) -> Choice | None:
        """The best choice that is usable and has room, waited for if need be; None if none is
        usable.

        Raises: Refusal (503) if the queue is full, or cannot be passed in time.
        """
        left_s = context.asked.left_s()
        waited = False
        until = time.monotonic() + (
            self._config.queue.wait_s if left_s is None else min(left_s, self._config.queue.wait_s)
        )
        while True:
            usable = [choice for choice in choices if choice.upstream.usable()]
            if not usable:
                return None
            free = [choice for choice in usable if not choice.upstream.full()]
            free = [choice for choice in free if not choice.upstream.resting()] or free
            if free and (waited or not self.queues.depth(alias)):
                return next((choice for choice in free if choice.upstream not in tried), free[0])
            expected_s = self.queues.expected_s(alias)
            left_s = until - time.monotonic()
            if not waited and self.queues.depth(alias) >= self._config.queue.depth:
                raise Refusal(
                    503,
                    "too many requests wait already",
                    code="overloaded",
                    headers=retry_after(expected_s),
                )
            if left_s <= 0 or (context.asked.deadline and expected_s > left_s):
                raise Refusal(
                    503,
                    "there is no place in time",
                    code="overloaded",
                    headers=retry_after(expected_s),
                )
            waited = await self.queues.wait(
                alias,
                urgent=context.asked.urgency is Urgency.INTERACTIVE,
                again=waited,
                seconds=left_s,
            )
            waited = waited or bool(free)

    # -- one attempt
    # -----------------------------------------------------------------------------------

    async def _ask(
        self,
        model: ModelConfig,
        choice: Choice,
        spare: Choice | None,
        context: RequestContext,
        fields: Fields,
        alias: str,
    ) -> Exchange:
        """Raises: UpstreamError."""
        if model.hedge_after_s is None or spare is None:
            return await self._attempt(choice, context, fields, alias)
        first = asyncio.ensure_future(self._attempt(choice, context, fields, alias))
        running = {first}
        try:
            await asyncio.wait(running, timeout=model.hedge_after_s)
            if not first.done() and self._budget.take():
                self._metrics.hedged(alias)
                running.add(asyncio.ensure_future(self._attempt(spare, context, fields, alias)))
            while True:
                done, pending = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                good = [
                    task
                    for task in done
                    if task.exception() is None and task.result().reply.status not in BAD
                ]
                if good or not pending:
                    winner = good[0] if good else first
                    running.discard(winner)
                    return winner.result()
                running = pending
        finally:
            for task in running:
                _drop(task)

    async def _attempt(
        self, choice: Choice, context: RequestContext, fields: Fields, alias: str
    ) -> Exchange:
        """Until a stream has begun, or all of another answer is there: so long nothing was sent to
        the client, and somebody else can be asked. Raises: UpstreamError.
        """
        upstream = choice.upstream
        tokens = context.decided.tokens
        start = time.monotonic()
        upstream.begin(tokens)
        try:
            reply, body = await self._begin(choice, context, fields)
        except UpstreamError as error:
            context.observed.error = str(error)
            self._metrics.upstream_failed(upstream.name, str(error)[:40])
            self._note(alias, choice, good=False)
            self._over(upstream, tokens, good=False)
            raise
        except BaseException:
            self._over(upstream, tokens, good=None)
            raise
        good = reply.status not in BAD
        if good:
            upstream.answered()
        else:
            self._metrics.upstream_failed(upstream.name, str(reply.status))
        self._note(alias, choice, good=good, ttft_s=time.monotonic() - start)
        context.observed.upstream = upstream.name
        context.observed.side = choice.side
        return Exchange(choice, reply, body, tokens=tokens, queues=self.queues)

    async def _begin(
        self, choice: Choice, context: RequestContext, fields: Fields
    ) -> tuple[Reply, bytes | None]:
        """Raises: UpstreamError."""
        origin = choice.upstream.origin
        if not choice.upstream.config.count_tokens:
            fields = {name: value for name, value in fields.items() if name != "stream_options"}
        body = msgspec.json.encode(
            {**fields, "model": msgspec.Raw(msgspec.json.encode(choice.model))}
        )
        headers = [
            (b"Content-Type", b"application/json"),
            (b"X-Request-Id", context.asked.id.encode()),
        ]
        if context.observed.trace is not None:
            headers.append((b"traceparent", context.observed.trace.parent()))
        path = context.asked.endpoint.target.path
        reply = await origin.ask("POST", path, body, headers, within_s=context.asked.left_s())
        try:
            await reply.begun()
            whole = None
            if is_stream(reply):
                await (_first_words(reply) if choice.held else reply.begun())
                if _says_error(reply.peek()):
                    raise UpstreamError("the stream began with an error")
            else:
                whole = await reply.read()
            if whole is not None and reply.status == 200:
                _check_json(whole)
        except BaseException:
            origin.release(reply)
            raise
        return reply, whole

    def _over(self, upstream: Upstream, tokens: int, *, good: bool | None) -> None:
        upstream.end(tokens, good=good)
        self.queues.freed()

    def _note(self, alias: str, choice: Choice, *, good: bool, ttft_s: float = 0.0) -> None:
        model = self._config.models.get(alias)
        if model is not None and model.canary is not None:
            self._canaries.note(alias, choice.side, good=good, ttft_s=ttft_s if good else 0.0)

    # -- copies that nobody sees
    # -----------------------------------------------------------------------

    def shadow(self, name: str, context: RequestContext, fields: Fields) -> None:
        """Sends a copy where the file says so; what becomes of it is only counted."""
        choices = self._router.shadow(name)
        if not choices:
            return
        alias, model = self._router.model(name)
        if model.shadow is None or len(self._shadows) >= model.shadow.at_once:
            self._metrics.shadowed(alias, "skipped")
            return
        task = asyncio.get_running_loop().create_task(
            self._copy(choices[0], context, fields, alias)
        )
        self._shadows.add(task)
        task.add_done_callback(self._shadows.discard)

    async def _copy(
        self, choice: Choice, context: RequestContext, fields: Fields, alias: str
    ) -> None:
        good = False
        choice = choice._replace(side="shadow")
        upstream = choice.upstream
        tokens = context.decided.tokens
        path = context.asked.endpoint.target.path
        start = time.monotonic()
        upstream.begin(tokens)
        try:
            body = msgspec.json.encode(
                {**fields, "model": msgspec.Raw(msgspec.json.encode(choice.model))}
            )
            reply = await upstream.origin.ask(
                "POST", path, body, [(b"Content-Type", b"application/json")]
            )
            try:
                await reply.read()
                good = reply.status < 400
            finally:
                upstream.origin.release(reply)
        except UpstreamError:
            pass
        finally:
            self._over(upstream, tokens, good=good)
        self._metrics.shadowed(alias, "fine" if good else "failed", time.monotonic() - start)


def is_stream(reply: Reply) -> bool:
    return any(
        name == b"content-type" and value.startswith(b"text/event-stream")
        for name, value in reply.headers
    )


def _check_json(body: bytes) -> None:
    """Raises: UpstreamError."""
    try:
        _any_json(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise MalformedAnswer("no JSON") from None


def _drop(task: asyncio.Future[Exchange]) -> None:
    """The loser of a hedge is stopped, wherever it is."""
    if not task.done():
        task.cancel()
        task.add_done_callback(_drop)
    elif not task.cancelled() and task.exception() is None:
        task.result().end(good=None)


def _free(choice: Choice, tried: list[Upstream]) -> bool:
    upstream = choice.upstream
    return (
        upstream not in tried
        and upstream.usable()
        and not upstream.full()
        and not upstream.resting()
    )


def _worth_repeating(failure: Failure) -> bool:
    """At the same upstream: a connection that broke may work again; what was late or refused will
    not.
    """
    return not failure.late and failure.status in (502, 503)


async def _first_words(reply: Reply) -> None:
    """Until a stream says something: an event that only names the role is no token. Raises:
    UpstreamError.
    """
    while True:
        begun = reply.peek()
        if (
            len(begun) > PREAMBLE_MOST
            or WORDS.search(begun)
            or _says_error(begun)
            or not await reply.more()
        ):
            return


def _says_error(begun: bytes) -> bool:
    """A stream whose first event is an error, told under a status of 200."""
    head = begun[:64].replace(b" ", b"")
    return head.startswith((b'data:{"error"', b"event:error"))


def _failed(exchange: Exchange) -> Failure:
    """What was said; and the upstream rests as long as it asks for."""
    reply = exchange.reply
    upstream = exchange.choice.upstream
    body = exchange.body or b""
    headers = dict(reply.headers)
    exchange.end(good=None if reply.status == 429 else False)
    after = _seconds(headers.get(b"retry-after"))
    if after:
        upstream.rest(after)
    kept = tuple(
        (name, value) for name, value in reply.headers if name in (b"retry-after", b"content-type")
    )
    return Failure(reply.status, f"the upstream answered {reply.status}", body, kept)


def _seconds(value: bytes | None) -> float:
    """Of Retry-After; a date counts as not given."""
    try:
        return max(0.0, float(value)) if value else 0.0
    except ValueError:
        return 0.0
