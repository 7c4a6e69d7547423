"""A request with a body: limits, guard, budget, cache, an upstream, and its answer on the way
back.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from llmops_cli.gateway_file.model import CacheConfig
from llmops_cli.serve.accounts.budget import Budgets, cost
from llmops_cli.serve.answers.cache import ENTRY_MOST, Question, Store, question
from llmops_cli.serve.answers.dialects import Dialect
from llmops_cli.serve.answers.replay import assembled, spelt
from llmops_cli.serve.answers.usage import Answer, guarded_body
from llmops_cli.serve.context import (
    COPIES_MOST,
    Asked,
    CacheUse,
    Fields,
    GuardVerdict,
    RequestContext,
    Usage,
)
from llmops_cli.serve.door.protocol import answer_whole
from llmops_cli.serve.endpoints import EMBEDDINGS, RESPONSES, Endpoint
from llmops_cli.serve.refusal import Refusal
from llmops_cli.serve.request import CHARS_PER_TOKEN, RequestBody
from llmops_cli.serve.snapshot import Snapshot
from llmops_cli.serve.upstreams.errors import UpstreamError, UpstreamTimeout
from llmops_cli.serve.upstreams.exchange import Exchange, Failure, NoAnswer
from llmops_cli.serve.upstreams.first_words import WORDS
from llmops_cli.serve.watch.metrics import Metrics

if TYPE_CHECKING:
    from llmops_cli.guard.check import Guard

LOG = logging.getLogger("llmops.gateway")
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]  # Any: ASGI
Leaving = set[Callable[[], None]]
"""Called when the client leaves."""
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

PASSED = (b"content-type", b"retry-after")
"""Headers of the upstream that clients see; everything else is ours."""
UNSAID_TOKENS = 256
"""What an answer takes of a limit before it is known, where nothing says how long it may be."""
_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_ASKED = msgspec.Raw(b'{"include_usage":true}')


class Gone(Exception):
    """The client has left."""


class Job(NamedTuple):
    """One request that may go on, and the way back to its client."""

    context: RequestContext
    dialect: Dialect
    send: Send

    @property
    def asked(self) -> Asked:
        return self.context.asked

    @property
    def endpoint(self) -> Endpoint:
        """The upstream's."""
        return self.context.asked.endpoint.target


class Flow:
    """All that one worker does for requests with bodies. `meanings` belongs to the semantic
    cache.
    """

    def __init__(
        self, *, budgets: Budgets, store: Store, metrics: Metrics, meanings: Any
    ) -> None:  # Any: Meanings
        self._budgets = budgets
        self._store = store
        self.metrics = metrics
        self.meanings = meanings
        self.judged = 0
        self.blocked = 0

    async def run(self, snapshot: Snapshot, job: Job, leaving: Leaving) -> None:
        """Answers. Raises: Refusal; Gone."""
        asked = job.context.asked
        decided = job.context.decided
        observed = job.context.observed
        name = asked.body.model
        alias, decided.settings = snapshot.router.model(name, shows=asked.key.serves)
        if not asked.key.serves(name):
            raise Refusal(403, f"this key may not use {asked.model!r}", code="forbidden")
        decided.alias = alias if snapshot.router.lists(alias) else "unlisted"
        decided.fields = asked.fields
        decided.prompt_tokens = asked.prompt_tokens()
        _check_lengths(snapshot, asked, decided.prompt_tokens)
        decided.answer_tokens = (asked.answer_tokens() or UNSAID_TOKENS) * asked.copies()
        claim, headers = await snapshot.limits.take(asked.key, asked.ip, alias, decided.tokens)
        decided.headers += headers
        failed = False
        try:
            self._judge(snapshot, job.context)
            snapshot.dispatcher.shadow(name, job.context, decided.fields)
            await self._paid(snapshot, job, leaving)
            failed = observed.status >= 500
        except Refusal as refusal:
            failed = refusal.status >= 500
            raise
        finally:
            await snapshot.limits.settle(claim, observed.usage.total_tokens, failed=failed)

    async def _paid(self, snapshot: Snapshot, job: Job, leaving: Leaving) -> None:
        """Within the key's budget: what an answer can cost at most is reserved, and what it did
        cost is settled.
        """
        asked = job.context.asked
        decided = job.context.decided
        observed = job.context.observed
        key = asked.key
        dollars = 0.0
        tokens = 0
        if key.budget_dollars is not None or key.budget_tokens is not None:
            bound = job.endpoint.bound
            if bound is not None and asked.answer_tokens() is None:
                most = snapshot.config.limits.unsaid_answer_tokens
                decided.fields[bound] = _raw(most)
                decided.answer_tokens = most * asked.copies()
            prompt_tokens = 2 * decided.prompt_tokens  # dense text has a token every two bytes
            tokens = prompt_tokens + decided.answer_tokens
            dollars = _most(snapshot, job, prompt_tokens, decided.answer_tokens)
        reservation = await self._budgets.reserve(key, dollars, tokens)
        try:
            await _until_gone(self._answer(snapshot, job), job.context, leaving)
        finally:
            await self._budgets.settle(reservation, observed.dollars, observed.usage.total_tokens)

    def _judge(self, snapshot: Snapshot, context: RequestContext) -> None:
        """The guard on what goes in. Raises: Refusal if it blocks."""
        if snapshot.guard is None:
            return
        self.judged += 1
        route = context.asked.endpoint.target.path
        for role, text in context.asked.texts():
            decision = snapshot.guard.check_input(text, role=role, route=route)
            if decision.action != "allow":
                rule = decision.findings[0].rule
                context.observed.guard = GuardVerdict("input", decision.action, rule)
                self.metrics.guarded("input", decision.action, rule)
            if decision.action == "block":
                self.blocked += 1
                raise Refusal(400, decision.message or "blocked", code="content_filter")

    # -- cache
    # -----------------------------------------------------------------------------------------

    async def _answer(self, snapshot: Snapshot, job: Job) -> None:
        cache = None
        if job.endpoint.caches:
            cache = snapshot.cache_of(job.context.decided.settings)
        asked = None
        vector = None
        if cache is not None and not job.asked.bypasses_cache:
            raw = {
                name: msgspec.json.decode(value)
                for name, value in job.context.decided.fields.items()
            }
            asked = question(
                raw,
                tenant=job.asked.key.id,
                route=job.endpoint.path,
                alias=job.asked.body.model,
                policy=snapshot.policy,
            )
            found = await self._store.get(asked.name)
            if found is not None and not found.stale:
                await self._replay(job, found.body, CacheUse.HIT)
                return
            if cache.semantic is not None and asked.text:
                vector = await self._vector(snapshot, cache, asked, job)
                if vector is not None and await self._nearest(job, cache, asked, vector):
                    return
            job.context.observed.cache = CacheUse.MISS
        try:
            body = await self._asked(snapshot, job, keep=asked is not None)
        except NoAnswer as error:
            if (
                cache is not None
                and cache.stale
                and asked
                and (old := await self._store.get(asked.name)) is not None
            ):
                self.metrics.fell_back(job.context.decided.alias, "cache")
                await self._replay(job, old.body, CacheUse.STALE)
                return
            await _pass_on(job, error.failure)
            return
        if asked is not None and cache is not None and body is not None and len(body) <= ENTRY_MOST:
            await self._store.put(asked.name, body, cache.ttl_s)
            if vector is not None and cache.semantic is not None:
                self.meanings.remember(
                    asked.partition, asked.name, vector, most=cache.semantic.entries
                )

    async def _replay(self, job: Job, body: bytes, how: CacheUse) -> None:
        """An answer of before, which costs nothing."""
        job.context.observed.cache = how
        job.context.decided.headers.append((b"x-llmops-cache", how.encode()))
        await self._give(job, body)

    async def _give(self, job: Job, body: bytes) -> None:
        """A whole answer, in the form that is asked for."""
        context = job.context
        send = job.send
        head = job.context.decided.headers
        context.observed.status = 200
        context.observed.first_s = time.monotonic() - context.asked.start
        if not job.asked.streams:
            await answer(send, 200, job.dialect.whole(body), head)
            context.observed.answered = True
            return
        shows = job.asked.body.wants_usage
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [*head, (b"content-type", b"text/event-stream; charset=utf-8")],
            }
        )
        for piece in spelt(msgspec.json.decode(body), usage=shows or job.dialect.wants_usage):
            await send(
                {"type": "http.response.body", "body": job.dialect.feed(piece), "more_body": True}
            )
        await send({"type": "http.response.body", "body": job.dialect.finish()})
        context.observed.answered = True

    async def _vector(
        self, snapshot: Snapshot, cache: CacheConfig, asked: Question, job: Job
    ) -> Any:  # Any: an array, or None
        """The question's, from a model of our own; None if that does not answer."""
        from llmops_cli.serve.answers.semantic import unit

        assert cache.semantic is not None
        fields = {"model": _raw(cache.semantic.model), "input": _raw(asked.text)}
        inner = RequestContext(EMBEDDINGS.path, EMBEDDINGS)
        inner.asked.body = RequestBody(model=cache.semantic.model)
        inner.decided.prompt_tokens = len(asked.text) // CHARS_PER_TOKEN
        try:
            exchange = await snapshot.dispatcher.open(cache.semantic.model, inner, fields)
        except (NoAnswer, Refusal) as error:
            LOG.warning("semantic cache: %s", error)
            return None
        exchange.end(good=True)
        try:
            return unit(msgspec.json.decode(exchange.body or b"")["data"][0]["embedding"])
        except (msgspec.DecodeError, KeyError, IndexError, TypeError, ValueError):
            return None

    async def _nearest(
        self, job: Job, cache: CacheConfig, asked: Question, vector: Any
    ) -> bool:  # Any: an array
        """Whether an answer to a question that means the same was given."""
        assert cache.semantic is not None
        near = self.meanings.nearest(asked.partition, vector)
        if near is None or near[1] < cache.semantic.threshold:
            return False
        found = await self._store.get(near[0])
        if found is None or found.stale:
            return False
        await self._replay(job, found.body, CacheUse.SEMANTIC)
        return True

    # -- upstream
    # --------------------------------------------------------------------------------------

    async def _asked(self, snapshot: Snapshot, job: Job, *, keep: bool) -> bytes | None:
        """Asks the model, or the smaller one first, then those that may stand in; what may be
        cached comes back.

        Raises: NoAnswer if nobody answers.
        """
        model = job.context.decided.settings
        if model.hybrid is not None and job.endpoint.logprobs:
            done, body = await self._small(snapshot, job, model.hybrid.small, model.hybrid.sure)
            if done:
                return body
        failure: Failure | None = None
        for name in [job.asked.body.model, *model.fallback]:
            if failure is not None and not job.asked.key.serves(name):
                continue
            try:
                fields = self._with_usage(job)
                exchange = await snapshot.dispatcher.open(name, job.context, fields)
            except NoAnswer as error:
                failure = failure or error.failure
                continue
            except Refusal as refusal:
                if failure is None and (refusal.code != "overloaded" or not model.fallback):
                    raise
                failure = failure or Failure(
                    refusal.status, refusal.message, None, tuple(refusal.headers)
                )
                continue
            if failure is not None:
                self.metrics.fell_back(job.context.decided.alias, name)
                job.context.decided.headers.append((b"x-llmops-model", name.encode()))
            return await self._relay(snapshot, job, exchange, keep=keep and failure is None)
        assert failure is not None
        raise NoAnswer(failure)

    def _with_usage(self, job: Job) -> Fields:
        """The body, its stream asked to tell the tokens at its end."""
        body = job.asked.body
        if not body.stream or not job.endpoint.choices or body.wants_usage:
            return job.context.decided.fields
        return {**job.context.decided.fields, "stream_options": _ASKED}

    async def _small(
        self, snapshot: Snapshot, job: Job, small: str, sure: float
    ) -> tuple[bool, bytes | None]:
        """(whether the small model's answer was given, that answer): it is, where the model was
        sure of its words.
        """
        context = job.context
        idle = ("stream", "stream_options")
        fields = {
            name: value for name, value in job.context.decided.fields.items() if name not in idle
        } | {"logprobs": _raw(True)}
        try:
            exchange = await snapshot.dispatcher.open(small, context, fields)
        except (NoAnswer, Refusal):
            return False, None
        exchange.end(good=True)
        raw = exchange.body or b""
        counted = Answer(None, job.endpoint, streamed=False)
        counted.read(raw)
        price = snapshot.price(exchange.candidate)
        context.observed.dollars += cost(
            price, counted.usage.input_tokens, counted.usage.output_tokens
        )
        body = (
            sure_answer(raw, sure, keep_logprobs="logprobs" in job.asked.fields)
            if exchange.reply.status == 200
            else None
        )
        if body is None:
            return False, None
        context.observed.usage = counted.usage
        context.observed.first_s = time.monotonic() - context.asked.start
        context.observed.status = 200
        if snapshot.guard is not None:
            body = self._guarded(snapshot.guard, body, job)
        context.decided.headers.append((b"x-llmops-model", small.encode()))
        await self._give(job, body)
        return True, body

    # -- the way back
    # ----------------------------------------------------------------------------------

    async def _relay(
        self, snapshot: Snapshot, job: Job, exchange: Exchange, *, keep: bool
    ) -> bytes | None:
        """Passes the answer on; it comes back if it is whole and may be cached."""
        context = job.context
        reply = exchange.reply
        before = job.context.observed.usage
        context.observed.status = reply.status
        context.observed.first_s = time.monotonic() - context.asked.start
        headers = [(name, value) for name, value in reply.headers if name in PASSED]
        streamed = exchange.body is None
        hide = (
            streamed
            and job.endpoint.choices
            and not job.dialect.wants_usage
            and not job.asked.body.wants_usage
        )
        counted = Answer(
            snapshot.guard if job.endpoint.choices else None,
            job.endpoint,
            streamed=streamed,
            hide_usage=hide,
            keep=keep and streamed,
        )
        good: bool | None = None
        whole: bytes | None = None
        try:
            if streamed:
                await self._stream(snapshot, job, reply, counted, headers)
            else:
                whole = await self._whole(snapshot, job, exchange, counted, headers)
            good = context.observed.answered = True
        except UpstreamError as error:
            good = False
            context.observed.error = str(error)
            self.metrics.upstream_failed(exchange.candidate.upstream.name, str(error)[:40])
            await _broke_off(job, error, begun=streamed)
        finally:
            exchange.end(good=good)
            self._count(snapshot, job, exchange, counted, before, whole=good is True)
        if not good or reply.status != 200 or counted.action == "block" or not keep:
            return None
        if streamed:
            kept = assembled(b"".join(counted.kept or ()))
            return None if kept is None else msgspec.json.encode(kept)
        return (
            whole if not (context.observed.guard and context.observed.guard.blocks_output) else None
        )

    def _count(
        self,
        snapshot: Snapshot,
        job: Job,
        exchange: Exchange,
        counted: Answer,
        before: Usage,
        *,
        whole: bool,
    ) -> None:
        """What was used, and what it costs; of an answer that was cut short, what had come."""
        context = job.context
        if not whole:
            counted.estimate()
        usage = counted.usage
        if usage.output_tokens and not usage.input_tokens:
            usage.input_tokens = job.context.decided.prompt_tokens
        context.observed.dollars += cost(
            snapshot.price(exchange.candidate), usage.input_tokens, usage.output_tokens
        )
        context.observed.usage = before.plus(usage)
        if counted.action:
            context.observed.guard = GuardVerdict("output", counted.action)
            self.metrics.guarded("output", counted.action, counted.rule)

    async def _stream(
        self,
        snapshot: Snapshot,
        job: Job,
        reply: Any,
        counted: Answer,
        headers: list[tuple[bytes, bytes]],
    ) -> None:  # Any: Reply
        send = job.send
        dialect = job.dialect
        plain = job.dialect.is_plain
        await send(
            {
                "type": "http.response.start",
                "status": reply.status,
                "headers": [*job.context.decided.headers, *headers],
            }
        )
        held = snapshot.guard is not None and job.endpoint is RESPONSES
        events = list[bytes]()
        said = False
        async for piece in reply.chunks():
            if not said and (said := WORDS.search(piece) is not None):
                job.context.observed.first_s = time.monotonic() - job.context.asked.start
            shown = counted.feed(piece)
            if held:
                events.append(shown)
            elif shown and (shown := shown if plain else dialect.feed(shown)):
                await send({"type": "http.response.body", "body": shown, "more_body": True})
        rest = counted.finish()
        if held and snapshot.guard is not None:
            rest = guarded_events(snapshot.guard, b"".join([*events, rest]), job.context)
        if not plain:
            rest = dialect.feed(rest) + dialect.finish()
        await send({"type": "http.response.body", "body": rest})

    async def _whole(
        self,
        snapshot: Snapshot,
        job: Job,
        exchange: Exchange,
        counted: Answer,
        headers: list[tuple[bytes, bytes]],
    ) -> bytes:
        raw = exchange.body or b""
        status = exchange.reply.status
        if status == 200:
            counted.read(raw)
            if snapshot.guard is not None:
                raw = self._guarded(snapshot.guard, raw, job)
        shown = raw if job.dialect.is_plain else job.dialect.whole(raw, status=status)
        await answer(job.send, status, shown, [*job.context.decided.headers, *headers], kind=None)
        return raw

    def _guarded(self, guard: Guard, raw: bytes, job: Job) -> bytes:
        shown, action, rule = guarded_body(guard, raw, job.endpoint.path)
        if action:
            job.context.observed.guard = GuardVerdict("output", action, rule)
            self.metrics.guarded("output", action, rule)
        return shown


async def _until_gone(
    work: Coroutine[Any, Any, None], context: RequestContext, leaving: Leaving
) -> None:  # Any: what it yields
    """Does the work, and stops as soon as the client has gone. Raises: Gone."""
    exchange = asyncio.current_task()
    gone = False

    def stop() -> None:
        nonlocal gone
        if exchange is not None and not context.observed.answered:
            gone = True
            exchange.cancel()

    leaving.add(stop)
    try:
        await work
    except asyncio.CancelledError:
        if not gone:
            raise
        raise Gone from None
    finally:
        leaving.discard(stop)


def _check_lengths(snapshot: Snapshot, asked: Asked, prompt_tokens: int) -> None:
    """Raises: Refusal."""
    limits = snapshot.config.limits
    wanted = asked.answer_tokens() or 0
    if not 0 <= wanted <= limits.answer_tokens:
        raise Refusal(
            400, f"max_tokens is not between 0 and {limits.answer_tokens:,}", code="invalid_body"
        )
    count = asked.body.n
    if count is not None and not 1 <= count <= COPIES_MOST:
        raise Refusal(400, "n is not between 1 and 128", code="invalid_body")
    if limits.prompt_tokens is not None and prompt_tokens > limits.prompt_tokens:
        said = (
            f"the prompt has about {prompt_tokens:,} tokens; {limits.prompt_tokens:,} are allowed"
        )
        raise Refusal(400, said, code="context_length_exceeded")


def _most(snapshot: Snapshot, job: Job, input_tokens: int, output_tokens: int) -> float:
    """Dollars that a request can cost: at the dearest upstream of whoever may answer, and the small
    model's on top.
    """

    def dearest(name: str) -> float:
        try:
            prices = [
                snapshot.price(choice) for choice in snapshot.router.candidates(name, job.asked)
            ]
        except Refusal:
            return 0.0  # it cannot do this, and will not be asked
        return max((cost(price, input_tokens, output_tokens) for price in prices), default=0.0)

    model = job.context.decided.settings
    small = dearest(model.hybrid.small) if model.hybrid else 0.0
    return small + max(dearest(name) for name in (job.asked.body.model, *model.fallback))


def _raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


def sure_answer(raw: bytes, sure: float, *, keep_logprobs: bool) -> bytes | None:
    """A small model's answer if the mean probability of its tokens is `sure` at least; None if it
    is not, or untold.
    """
    try:
        whole = msgspec.json.decode(raw)
        choice = whole["choices"][0]
        logprobs = [token["logprob"] for token in choice["logprobs"]["content"]]
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError, IndexError, TypeError):
        return None
    if not logprobs or choice.get("finish_reason") != "stop":
        return None
    if sum(map(math.exp, logprobs)) / len(logprobs) < sure:
        return None
    if not keep_logprobs:
        del choice["logprobs"]
    return msgspec.json.encode(whole)


async def _pass_on(job: Job, failure: Failure) -> None:
    """What the last upstream said, or why nobody could be asked. Raises: Refusal."""
    if failure.body is None:
        code = "upstream_timeout" if failure.late else "upstream_unavailable"
        raise Refusal(failure.status, failure.message, code=code, headers=list(failure.headers))
    job.context.observed.status = failure.status
    job.context.observed.error = failure.message
    body = (
        failure.body
        if job.dialect.is_plain
        else job.dialect.whole(failure.body, status=failure.status)
    )
    await answer(
        job.send, failure.status, body, [*job.context.decided.headers, *failure.headers], kind=None
    )


async def _broke_off(job: Job, error: UpstreamError, *, begun: bool) -> None:
    """Raises: Refusal unless a part was sent already, which then ends with an event that says
    so.
    """
    said = f"the upstream broke off: {error}"
    if not begun:
        raise Refusal(
            504 if isinstance(error, UpstreamTimeout) else 502, said, code="upstream_error"
        ) from None
    failure = {"error": {"message": said, "type": "server_error", "code": "upstream_error"}}
    event = b"data: " + msgspec.json.encode(failure) + b"\n\n"
    await job.send(
        {
            "type": "http.response.body",
            "body": job.dialect.feed(event) if not job.dialect.is_plain else event,
        }
    )


def guarded_events(guard: Guard, raw: bytes, context: RequestContext) -> bytes:
    """A stream of /v1/responses, which says everything several times: whole if it is harmless, else
    an error.
    """
    for line in raw.splitlines():
        if line.startswith(b"data:") and b'"response.completed"' in line:
            texts = _response_texts(line[5:].strip())
            decisions = [guard.check_output(text, route=RESPONSES.path) for text in texts]
            bad = next((d for d in decisions if d.action in ("redact", "block")), None)
            if bad is None:
                return raw
            context.observed.guard = GuardVerdict("output", "block", bad.findings[0].rule)
            failure = {
                "type": "error",
                "code": "content_filter",
                "message": bad.message or "the answer was withheld",
            }
            return b"event: error\ndata: " + msgspec.json.encode(failure) + b"\n\n"
    context.observed.guard = GuardVerdict("output", "block", "unfinished")
    return b'event: error\ndata: {"type":"error","code":"content_filter","message":"the answer was not whole"}\n\n'


def _response_texts(data: bytes) -> list[str]:
    try:
        output = msgspec.json.decode(data)["response"]["output"]
        return [
            str(part["text"])
            for item in output
            for part in item.get("content") or ()
            if "text" in part
        ]
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError):
        return []


def fields_of(body: bytes) -> Fields:
    """The body's values, undecoded; of a name that comes twice, the last. Raises:
    msgspec.DecodeError.
    """
    return _decode_fields(body)


async def answer(
    send: Send,
    status: int,
    body: bytes,
    headers: list[tuple[bytes, bytes]],
    *,
    kind: bytes | None = b"application/json",
) -> None:
    """A whole answer, with its length."""
    typed = [(b"content-type", kind)] if kind else []
    length = [(b"content-length", b"%d" % len(body))]
    if answer_whole(send, status, body, [*headers, *typed, *length]):
        return
    await send(
        {"type": "http.response.start", "status": status, "headers": [*headers, *typed, *length]}
    )
    await send({"type": "http.response.body", "body": body})
