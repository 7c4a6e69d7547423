"""An upstream's answer on its way to the client: whole, or piece by piece as it comes."""

from __future__ import annotations

import asyncio

from llmops_cli.serve.answers.admitted import AdmittedRequest
from llmops_cli.serve.answers.charge import charge
from llmops_cli.serve.answers.dialects.unsent import headers_of
from llmops_cli.serve.answers.late_events import error_events
from llmops_cli.serve.answers.lengths import choices_of
from llmops_cli.serve.answers.readers import StreamReader, stream_reader
from llmops_cli.serve.answers.replay import give
from llmops_cli.serve.answers.usage import usage_of_whole
from llmops_cli.serve.context import Ended, GuardVerdict, Usage
from llmops_cli.serve.endpoints import AnswerKind
from llmops_cli.serve.feedback.ratable import RatableAnswers
from llmops_cli.serve.judging.judging import Judging
from llmops_cli.serve.refusal import Headers, Refusal
from llmops_cli.serve.upstreams.errors import (
    Blame,
    MalformedAnswer,
    UpstreamError,
    UpstreamTimeout,
)
from llmops_cli.serve.upstreams.exchange import Failure, UpstreamExchange
from llmops_cli.serve.upstreams.first_words import WORDS
from llmops_cli.serve.upstreams.outcome import Outcome, outcome_of
from llmops_cli.serve.upstreams.reply import Reply
from llmops_cli.serve.watch.metrics import Metrics

OK = 200
WHOLE_HERE_BYTES = 256 << 10
"""Of events that are put together on the loop, in some milliseconds."""
PASSED = (b"content-type", b"retry-after")
"""Headers of the upstream that clients see; everything else is ours."""


SEARCHED = (AnswerKind.JSON, AnswerKind.TEXT)
"""Answers with words in them."""


class Relay:
    def __init__(self, metrics: Metrics, judging: Judging, ratable: RatableAnswers) -> None:
        self._metrics = metrics
        self._judging = judging
        self._ratable = ratable

    async def pass_on(
        self,
        request: AdmittedRequest,
        exchange: UpstreamExchange,
        *,
        keeps: bool,
    ) -> bytes | None:
        """The answer comes back if it is whole, and `keeps` says that it may be kept."""
        try:
            return await self._passed_on(request, exchange, keeps=keeps)
        finally:
            if not exchange.has_ended:
                exchange.end(Outcome.NOTHING)
                self.settle(request, exchange, Usage())

    async def _passed_on(
        self,
        request: AdmittedRequest,
        exchange: UpstreamExchange,
        *,
        keeps: bool,
    ) -> bytes | None:
        reply = exchange.reply
        request.observed.status = reply.status
        request.observed.first_s = request.elapsed_s()
        headers = [header for header in reply.headers if header[0] in PASSED]
        if exchange.unsent:
            request.decided.headers += headers_of(*[name.encode() for name in exchange.unsent])
        if exchange.body is None:
            body = await self._pass_stream(request, exchange, headers, keeps=keeps)
        else:
            body = await self._pass_whole(request, exchange, exchange.body, headers)
        return body if keeps and reply.status == OK else None

    # -- whole

    async def _pass_whole(
        self,
        request: AdmittedRequest,
        exchange: UpstreamExchange,
        raw: bytes,
        headers: Headers,
    ) -> bytes | None:
        usage = Usage()
        verdict = None
        body = raw
        outcome = Outcome.GOOD  # all of it is there, whatever becomes of its client
        try:
            if exchange.reply.status == OK:
                usage = usage_of_whole(raw, request.target)
                body, verdict = await self._guarded(request, raw)
                await self._note_ratable(request, verdict)
            if not await self._answer(request, exchange, body, headers):
                outcome = Outcome.BAD
                await self._ratable.withdraw(request)
            request.observed.answered = outcome is Outcome.GOOD
        finally:
            exchange.end(outcome)
            self.settle(request, exchange, usage)
        if outcome is Outcome.BAD or (verdict is not None and verdict.action == "block"):
            return None
        return body

    async def _answer(
        self,
        request: AdmittedRequest,
        exchange: UpstreamExchange,
        body: bytes,
        headers: Headers,
    ) -> bool:
        """In the client's form; False if the upstream's answer has none."""
        status = exchange.reply.status
        if status == OK and request.asked.streams and not request.dialect.is_plain:
            seen = await _spelt(request, body)
        else:
            seen = await request.answer_whole(status, body, headers)
        if seen == status:
            return True
        error = MalformedAnswer("no answer that can be translated")
        request.observed.error = str(error)
        self._metrics.upstream_failed(exchange.candidate.upstream.name, error)
        return False

    async def _guarded(
        self,
        request: AdmittedRequest,
        raw: bytes,
    ) -> tuple[bytes, GuardVerdict | None]:
        """Raises: Refusal for what cannot be judged."""
        seen = request.observed.seen
        if seen is not None and request.target.streams and request.target.answers in SEARCHED:
            seen.said.whole(raw)
        guard = request.guard
        if guard is None:
            return raw, None
        bounds = request.snapshot.config.limits.judging
        body, verdict = await self._judging.answer(guard, raw, request.asked, bounds)
        self.note_verdict(request, verdict)
        return body, verdict

    async def guarded(self, request: AdmittedRequest, raw: bytes) -> bytes:
        """A whole answer as the guard lets it go, which may be rated then. Raises: Refusal."""
        body, verdict = await self._guarded(request, raw)
        await self._note_ratable(request, verdict)
        return body

    async def _note_ratable(self, request: AdmittedRequest, verdict: GuardVerdict | None) -> None:
        if verdict is None or not verdict.blocks_output:
            await self._ratable.note(request)

    # -- streamed

    async def _pass_stream(
        self,
        request: AdmittedRequest,
        exchange: UpstreamExchange,
        headers: Headers,
        *,
        keeps: bool,
    ) -> bytes | None:
        body = request.asked.body
        reader = stream_reader(
            request.target,
            request.guard,
            count=choices_of(request.asked),
            hides_usage=not body.wants_usage and not request.dialect.wants_usage,
            keeps=keeps,
        )
        outcome = Outcome.NOTHING
        await self._ratable.note(request)
        try:
            await self._pump(request, exchange.reply, reader, headers)
            failure = reader.failure
            if failure is None:
                request.observed.answered = True
                outcome = Outcome.GOOD
            else:
                outcome = outcome_of(failure)
                self._note_failure(request, exchange, failure)
        except UpstreamError as error:
            outcome = outcome_of(error)
            self._note_failure(request, exchange, error)
            await _end_with_error(request, error)
        finally:
            if outcome is not Outcome.GOOD:
                reader.hear(exchange.reply.usage_so_far())
                reader.estimate()
            exchange.end(outcome, tokens=reader.usage.output_tokens)
            self.settle(request, exchange, reader.usage)
            self.note_verdict(request, reader.verdict)
            is_stopped = reader.verdict is not None and reader.verdict.blocks_output
            said_nothing = outcome is not Outcome.GOOD and not request.observed.first_s
            if is_stopped or said_nothing:
                await self._ratable.withdraw(request)
        return await _whole(reader) if outcome is Outcome.GOOD else None

    async def _pump(
        self,
        request: AdmittedRequest,
        reply: Reply,
        reader: StreamReader,
        headers: Headers,
    ) -> None:
        """Raises: UpstreamError."""
        say = request.say
        dialect = request.dialect
        feed = reader.feed
        is_heavy = None if request.guard is None else reader.is_heavy
        seen = request.observed.seen
        plain = dialect.is_plain
        has_words = False
        await request.begin_stream(reply.status, headers)
        async for piece in reply.chunks():
            if not has_words and WORDS.search(piece) is not None:
                has_words = True
                request.observed.first_s = request.elapsed_s()
            if seen is not None:
                seen.said.feed(piece)
            if is_heavy is not None and is_heavy(piece):
                shown = await asyncio.to_thread(feed, piece)
            else:
                shown = feed(piece)
            if not plain:
                shown = dialect.feed(shown)
            if shown:
                await say(shown)
            if reader.has_ended:
                reply.expect_end()
        if is_heavy is not None and is_heavy(b""):
            rest = await asyncio.to_thread(reader.finish)
        else:
            rest = reader.finish()
        if not plain:
            rest = dialect.feed(rest) + dialect.finish()
        await request.end_stream(rest)

    # -- what came of it

    def _note_failure(
        self,
        request: AdmittedRequest,
        exchange: UpstreamExchange,
        error: UpstreamError,
    ) -> None:
        request.observed.error = str(error)
        is_clients = isinstance(error, UpstreamTimeout) and error.blame is Blame.CLIENT
        request.observed.ended = Ended.DEADLINE if is_clients else Ended.BROKEN
        if outcome_of(error) is Outcome.BAD:
            self._metrics.upstream_failed(exchange.candidate.upstream.name, error)

    def settle(
        self,
        request: AdmittedRequest,
        exchange: UpstreamExchange,
        usage: Usage,
    ) -> None:
        """What was used, and what it costs; of an answer that was cut short, what had come."""
        if not usage.tells_input and exchange.reply.status == OK:
            usage.input_tokens = request.decided.prompt_tokens
        charge(request, exchange.candidate, usage)

    def settle_unanswered(self, request: AdmittedRequest) -> None:
        """Whoever was asked and has not answered has worked on the prompt.

        The client has left before there was an answer, or another copy of a hedge was quicker.
        """
        for candidate in request.observed.working:
            usage = Usage(input_tokens=request.decided.prompt_tokens)
            charge(request, candidate, usage)
        request.observed.working.clear()

    def note_verdict(self, request: AdmittedRequest, verdict: GuardVerdict | None) -> None:
        if verdict is not None:
            request.observed.guard = verdict
            self._metrics.guarded(verdict.direction, verdict.action, verdict.rule)


async def _whole(reader: StreamReader) -> bytes | None:
    """An answer for the cache. One of ten thousand tokens takes longer than others may wait."""
    if reader.kept_bytes <= WHOLE_HERE_BYTES:
        return reader.whole()
    return await asyncio.to_thread(reader.whole)


async def _spelt(request: AdmittedRequest, body: bytes) -> int:
    """A whole answer as the stream that was asked for; the status that the client sees."""
    try:
        await give(request, body)
    except Refusal as refusal:
        return await request.answer_whole(refusal.status, refusal.body(), [])
    return OK


async def pass_failure_on(request: AdmittedRequest, failure: Failure) -> None:
    """What the last upstream said, or why nobody could be asked. Raises: Refusal."""
    headers = list(failure.headers)
    if failure.late and failure.is_clients:
        request.observed.ended = Ended.DEADLINE
    if failure.body is None:
        raise Refusal(failure.status, failure.message, code=failure.code, headers=headers)
    request.observed.status = failure.status
    request.observed.error = failure.message
    await request.answer_whole(failure.status, failure.body, headers)


async def _end_with_error(request: AdmittedRequest, error: UpstreamError) -> None:
    """A stream that was begun ends with an event that says so."""
    said = str(error)
    if error.blame is not Blame.CLIENT:
        said = f"the upstream broke off: {said}"
    failure = {
        "message": said,
        "type": "server_error",
        "code": "upstream_error",
    }
    await request.end_stream(error_events(request.dialect, request.target, failure))
