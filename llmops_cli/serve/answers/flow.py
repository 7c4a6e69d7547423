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

from llmops_cli.gateway_file.model import CacheConfig, ModelConfig
from llmops_cli.serve.accounts.budget import Budgets, cost
from llmops_cli.serve.accounts.keys import Key
from llmops_cli.serve.answers.cache import ENTRY_MOST, Question, Store, question
from llmops_cli.serve.answers.dialects import Dialect
from llmops_cli.serve.answers.replay import assembled, spelt
from llmops_cli.serve.answers.usage import COMPLETIONS, Answer, Usage, guarded_body
from llmops_cli.serve.door.protocol import answer_whole
from llmops_cli.serve.request import CHARS_PER_TOKEN, Ask, Refusal, Talk
from llmops_cli.serve.snapshot import Site
from llmops_cli.serve.upstreams.connection import UpstreamError, UpstreamTimeout
from llmops_cli.serve.upstreams.dispatch import WORDS, Exchange, Failure, Fields, NoAnswer
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
    """One request that may go on: `path` is the upstream's, `dialect` the client's."""

    ask: Ask
    fields: Fields
    path: str
    key: Key
    talk: Talk
    dialect: Dialect
    send: Send


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

    async def run(self, site: Site, job: Job, leaving: Leaving) -> None:
        """Answers. Raises: Refusal; Gone."""
        talk = job.talk
        ask = job.ask
        key = job.key
        talk.model = ask.model[:128]
        talk.stream = bool(ask.stream)
        alias, model = site.router.model(ask.model, shows=key.serves)
        if not key.serves(ask.model):
            raise Refusal(403, f"this key may not use {ask.model[:128]!r}", code="forbidden")
        talk.alias = alias if site.router.lists(alias) else "unlisted"
        prompt_tokens = _prompt_tokens(ask, talk)
        _check_lengths(site, ask, prompt_tokens)
        answer_tokens = (ask.wanted_tokens() or UNSAID_TOKENS) * max(1, min(ask.n or 1, 128))
        claim, headers = await site.limits.take(key, talk.ip, alias, prompt_tokens + answer_tokens)
        talk.head += headers
        failed = False
        try:
            self._judge(site, ask, job.path, talk)
            site.dispatcher.shadow(
                ask.model, talk, job.path, job.fields, prompt_tokens + answer_tokens
            )
            await self._paid(site, job, model, prompt_tokens, answer_tokens, leaving)
            failed = talk.status >= 500
        except Refusal as refusal:
            failed = refusal.status >= 500
            raise
        finally:
            await site.limits.settle(
                claim, talk.usage.input_tokens + talk.usage.output_tokens, failed=failed
            )

    async def _paid(
        self,
        site: Site,
        job: Job,
        model: ModelConfig,
        prompt_tokens: int,
        answer_tokens: int,
        leaving: Leaving,
    ) -> None:
        """Within the key's budget: what an answer can cost at most is reserved, and what it did
        cost is settled.
        """
        key = job.key
        talk = job.talk
        fields = job.fields
        dollars = 0.0
        tokens = 0
        if key.budget_dollars is not None or key.budget_tokens is not None:
            copies = max(1, min(job.ask.n or 1, 128))
            if job.ask.wanted_tokens() is None and job.path != "/v1/embeddings":
                most = site.config.limits.unsaid_answer_tokens
                fields["max_tokens" if job.path != "/v1/responses" else "max_output_tokens"] = _raw(
                    most
                )
                answer_tokens = most * copies
            tokens = 2 * prompt_tokens + answer_tokens  # dense text has a token every two bytes
            dollars = _most(site, job, model, 2 * prompt_tokens, answer_tokens)
        reservation = await self._budgets.reserve(key, dollars, tokens)
        try:
            await _until_gone(
                self._answer(site, job, model, prompt_tokens + answer_tokens), talk, leaving
            )
        finally:
            used = talk.usage.input_tokens + talk.usage.output_tokens
            await self._budgets.settle(reservation, talk.cost, used)

    def _judge(self, site: Site, ask: Ask, path: str, talk: Talk) -> None:
        """The guard on what goes in. Raises: Refusal if it blocks."""
        if site.guard is None:
            return
        self.judged += 1
        for role, text in ask.texts():
            decision = site.guard.check_input(text, role=role, route=path)
            if decision.action != "allow":
                rule = decision.findings[0].rule
                talk.guard = f"input {decision.action}: {rule}"
                self.metrics.guarded("input", decision.action, rule)
            if decision.action == "block":
                self.blocked += 1
                raise Refusal(400, decision.message or "blocked", code="content_filter")

    # -- cache
    # -----------------------------------------------------------------------------------------

    async def _answer(self, site: Site, job: Job, model: ModelConfig, tokens: int) -> None:
        cache = site.cache_of(model) if job.path != "/v1/responses" else None
        asked = None
        vector = None
        if cache is not None and job.talk.cache != "bypass":
            raw = {name: msgspec.json.decode(value) for name, value in job.fields.items()}
            asked = question(
                raw, tenant=job.key.id, route=job.path, alias=job.ask.model, policy=site.policy
            )
            found = await self._store.get(asked.name)
            if found is not None and not found.stale:
                await self._replay(job, found.body, "hit")
                return
            if cache.semantic is not None and asked.text:
                vector = await self._vector(site, cache, asked, job)
                if vector is not None and await self._nearest(job, cache, asked, vector):
                    return
            job.talk.cache = "miss"
        try:
            body = await self._asked(site, job, model, tokens, keep=asked is not None)
        except NoAnswer as error:
            if (
                cache is not None
                and cache.stale
                and asked
                and (old := await self._store.get(asked.name)) is not None
            ):
                self.metrics.fell_back(job.talk.alias, "cache")
                await self._replay(job, old.body, "stale")
                return
            await _pass_on(job, error.failure)
            return
        if asked is not None and cache is not None and body is not None and len(body) <= ENTRY_MOST:
            await self._store.put(asked.name, body, cache.ttl_s)
            if vector is not None and cache.semantic is not None:
                self.meanings.remember(
                    asked.partition, asked.name, vector, most=cache.semantic.entries
                )

    async def _replay(self, job: Job, body: bytes, how: str) -> None:
        """An answer of before, which costs nothing."""
        job.talk.cache = how
        job.talk.head.append((b"x-llmops-cache", how.encode()))
        await self._give(job, body)

    async def _give(self, job: Job, body: bytes) -> None:
        """A whole answer, in the form that is asked for."""
        talk = job.talk
        send = job.send
        head = job.talk.head
        talk.status = 200
        talk.first = time.monotonic() - talk.start
        if not job.ask.stream:
            await answer(send, 200, job.dialect.whole(body), head)
            talk.answered = True
            return
        shows = bool(job.ask.stream_options and job.ask.stream_options.include_usage)
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
        talk.answered = True

    async def _vector(
        self, site: Site, cache: CacheConfig, asked: Question, job: Job
    ) -> Any:  # Any: an array, or None
        """The question's, from a model of our own; None if that does not answer."""
        from llmops_cli.serve.answers.semantic import unit

        assert cache.semantic is not None
        fields = {"model": _raw(cache.semantic.model), "input": _raw(asked.text)}
        inner = Talk("/v1/embeddings")
        try:
            exchange = await site.dispatcher.open(
                cache.semantic.model,
                Ask(model=cache.semantic.model),
                inner,
                "/v1/embeddings",
                fields,
                len(asked.text) // 4,
            )
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
        await self._replay(job, found.body, "semantic")
        return True

    # -- upstream
    # --------------------------------------------------------------------------------------

    async def _asked(
        self, site: Site, job: Job, model: ModelConfig, tokens: int, *, keep: bool
    ) -> bytes | None:
        """Asks the model, or the smaller one first, then those that may stand in; what may be
        cached comes back.

        Raises: NoAnswer if nobody answers.
        """
        if model.hybrid is not None and job.path == "/v1/chat/completions":
            done, body = await self._small(site, job, model.hybrid.small, model.hybrid.sure, tokens)
            if done:
                return body
        failure: Failure | None = None
        for name in [job.ask.model, *model.fallback]:
            if failure is not None and not job.key.serves(name):
                continue
            try:
                fields = self._with_usage(job)
                exchange = await site.dispatcher.open(
                    name, job.ask, job.talk, job.path, fields, tokens
                )
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
                self.metrics.fell_back(job.talk.alias, name)
                job.talk.head.append((b"x-llmops-model", name.encode()))
            return await self._relay(site, job, exchange, keep=keep and failure is None)
        assert failure is not None
        raise NoAnswer(failure)

    def _with_usage(self, job: Job) -> Fields:
        """The body, its stream asked to tell the tokens at its end."""
        ask = job.ask
        if (
            not ask.stream
            or job.path not in COMPLETIONS
            or (ask.stream_options and ask.stream_options.include_usage)
        ):
            return job.fields
        return {**job.fields, "stream_options": _ASKED}

    async def _small(
        self, site: Site, job: Job, small: str, sure: float, tokens: int
    ) -> tuple[bool, bytes | None]:
        """(whether the small model's answer was given, that answer): it is, where the model was
        sure of its words.
        """
        talk = job.talk
        idle = ("stream", "stream_options")
        fields = {name: value for name, value in job.fields.items() if name not in idle} | {
            "logprobs": _raw(True)
        }
        ask = msgspec.structs.replace(job.ask, stream=False)
        try:
            exchange = await site.dispatcher.open(small, ask, talk, job.path, fields, tokens)
        except (NoAnswer, Refusal):
            return False, None
        exchange.end(good=True)
        raw = exchange.body or b""
        counted = Answer(None, job.path, streamed=False)
        counted.read(raw)
        price = site.price(exchange.choice)
        talk.cost += cost(price, counted.usage.input_tokens, counted.usage.output_tokens)
        body = (
            sure_answer(raw, sure, keep_logprobs="logprobs" in job.fields)
            if exchange.reply.status == 200
            else None
        )
        if body is None:
            return False, None
        talk.usage = counted.usage
        talk.first = time.monotonic() - talk.start
        talk.status = 200
        if site.guard is not None:
            body = self._guarded(site.guard, body, job)
        talk.head.append((b"x-llmops-model", small.encode()))
        await self._give(job, body)
        return True, body

    # -- the way back
    # ----------------------------------------------------------------------------------

    async def _relay(self, site: Site, job: Job, exchange: Exchange, *, keep: bool) -> bytes | None:
        """Passes the answer on; it comes back if it is whole and may be cached."""
        talk = job.talk
        reply = exchange.reply
        before = job.talk.usage
        talk.status = reply.status
        talk.first = time.monotonic() - talk.start
        headers = [(name, value) for name, value in reply.headers if name in PASSED]
        streamed = exchange.body is None
        hide = (
            streamed
            and job.path in COMPLETIONS
            and not job.dialect.wants_usage
            and not (job.ask.stream_options and job.ask.stream_options.include_usage)
        )
        counted = Answer(
            site.guard if job.path in COMPLETIONS else None,
            job.path,
            streamed=streamed,
            hide_usage=hide,
            keep=keep and streamed,
        )
        good: bool | None = None
        whole: bytes | None = None
        try:
            if streamed:
                await self._stream(site, job, reply, counted, headers)
            else:
                whole = await self._whole(site, job, exchange, counted, headers)
            good = talk.answered = True
        except UpstreamError as error:
            good = False
            talk.error = str(error)
            self.metrics.upstream_failed(exchange.choice.upstream.name, str(error)[:40])
            await _broke_off(job, error, begun=streamed)
        finally:
            exchange.end(good=good)
            self._count(site, job, exchange, counted, before, whole=good is True)
        if not good or reply.status != 200 or counted.action == "block" or not keep:
            return None
        if streamed:
            kept = assembled(b"".join(counted.kept or ()))
            return None if kept is None else msgspec.json.encode(kept)
        return whole if talk.guard.startswith("output block") is False else None

    def _count(
        self,
        site: Site,
        job: Job,
        exchange: Exchange,
        counted: Answer,
        before: Usage,
        *,
        whole: bool,
    ) -> None:
        """What was used, and what it costs; of an answer that was cut short, what had come."""
        talk = job.talk
        if not whole:
            counted.estimate()
        usage = counted.usage
        if usage.output_tokens and not usage.input_tokens:
            usage.input_tokens = _prompt_tokens(job.ask, talk)
        talk.cost += cost(site.price(exchange.choice), usage.input_tokens, usage.output_tokens)
        talk.usage = Usage(
            before.input_tokens + usage.input_tokens, before.output_tokens + usage.output_tokens
        )
        if counted.action:
            talk.guard = f"output {counted.action}"
            self.metrics.guarded("output", counted.action, counted.rule)

    async def _stream(
        self, site: Site, job: Job, reply: Any, counted: Answer, headers: list[tuple[bytes, bytes]]
    ) -> None:  # Any: Reply
        send = job.send
        dialect = job.dialect
        plain = job.dialect.is_plain
        await send(
            {
                "type": "http.response.start",
                "status": reply.status,
                "headers": [*job.talk.head, *headers],
            }
        )
        held = site.guard is not None and job.path == "/v1/responses"
        events = list[bytes]()
        said = False
        async for piece in reply.pieces():
            if not said and (said := WORDS.search(piece) is not None):
                job.talk.first = time.monotonic() - job.talk.start
            shown = counted.feed(piece)
            if held:
                events.append(shown)
            elif shown and (shown := shown if plain else dialect.feed(shown)):
                await send({"type": "http.response.body", "body": shown, "more_body": True})
        rest = counted.finish()
        if held and site.guard is not None:
            rest = guarded_events(site.guard, b"".join([*events, rest]), job.talk)
        if not plain:
            rest = dialect.feed(rest) + dialect.finish()
        await send({"type": "http.response.body", "body": rest})

    async def _whole(
        self,
        site: Site,
        job: Job,
        exchange: Exchange,
        counted: Answer,
        headers: list[tuple[bytes, bytes]],
    ) -> bytes:
        raw = exchange.body or b""
        status = exchange.reply.status
        if status == 200:
            counted.read(raw)
            if site.guard is not None:
                raw = self._guarded(site.guard, raw, job)
        shown = raw if job.dialect.is_plain else job.dialect.whole(raw, status=status)
        await answer(job.send, status, shown, [*job.talk.head, *headers], kind=None)
        return raw

    def _guarded(self, guard: Guard, raw: bytes, job: Job) -> bytes:
        shown, action, rule = guarded_body(guard, raw, job.path)
        if action:
            job.talk.guard = f"output {action}: {rule}"
            self.metrics.guarded("output", action, rule)
        return shown


async def _until_gone(
    work: Coroutine[Any, Any, None], talk: Talk, leaving: Leaving
) -> None:  # Any: what it yields
    """Does the work, and stops as soon as the client has gone. Raises: Gone."""
    exchange = asyncio.current_task()
    gone = False

    def stop() -> None:
        nonlocal gone
        if exchange is not None and not talk.answered:
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


def _prompt_tokens(ask: Ask, talk: Talk) -> int:
    """An estimate: a token is four bytes of text, and an image a thousand."""
    if talk.images:
        return sum(len(text) for _, text in ask.texts()) // CHARS_PER_TOKEN + 1000 * talk.images + 1
    return talk.bytes_in // CHARS_PER_TOKEN + 1


def _check_lengths(site: Site, ask: Ask, prompt_tokens: int) -> None:
    """Raises: Refusal."""
    limits = site.config.limits
    wanted = ask.wanted_tokens() or 0
    if not 0 <= wanted <= limits.answer_tokens:
        raise Refusal(
            400, f"max_tokens is not between 0 and {limits.answer_tokens:,}", code="invalid_body"
        )
    if ask.n is not None and not 1 <= ask.n <= 128:
        raise Refusal(400, "n is not between 1 and 128", code="invalid_body")
    if limits.prompt_tokens is not None and prompt_tokens > limits.prompt_tokens:
        said = (
            f"the prompt has about {prompt_tokens:,} tokens; {limits.prompt_tokens:,} are allowed"
        )
        raise Refusal(400, said, code="context_length_exceeded")


def _most(site: Site, job: Job, model: ModelConfig, input_tokens: int, output_tokens: int) -> float:
    """Dollars that a request can cost: at the dearest upstream of whoever may answer, and the small
    model's on top.
    """

    def dearest(name: str) -> float:
        try:
            prices = [site.price(choice) for choice in site.router.choices(name, job.ask, job.talk)]
        except Refusal:
            return 0.0  # it cannot do this, and will not be asked
        return max((cost(price, input_tokens, output_tokens) for price in prices), default=0.0)

    small = dearest(model.hybrid.small) if model.hybrid else 0.0
    return small + max(dearest(name) for name in (job.ask.model, *model.fallback))


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
        raise Refusal(failure.status, failure.said, code=code, headers=list(failure.headers))
    job.talk.status = failure.status
    job.talk.error = failure.said
    body = (
        failure.body
        if job.dialect.is_plain
        else job.dialect.whole(failure.body, status=failure.status)
    )
    await answer(job.send, failure.status, body, [*job.talk.head, *failure.headers], kind=None)


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


def guarded_events(guard: Guard, raw: bytes, talk: Talk) -> bytes:
    """A stream of /v1/responses, which says everything several times: whole if it is harmless, else
    an error.
    """
    for line in raw.splitlines():
        if line.startswith(b"data:") and b'"response.completed"' in line:
            texts = _response_texts(line[5:].strip())
            decisions = [guard.check_output(text, route="/v1/responses") for text in texts]
            bad = next((d for d in decisions if d.action in ("redact", "block")), None)
            if bad is None:
                return raw
            talk.guard = f"output block: {bad.findings[0].rule}"
            failure = {
                "type": "error",
                "code": "content_filter",
                "message": bad.message or "the answer was withheld",
            }
            return b"event: error\ndata: " + msgspec.json.encode(failure) + b"\n\n"
    talk.guard = "output block: unfinished"
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
