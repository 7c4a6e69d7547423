"""Sends what generations produce, token by token or at the end, to the client that asked."""

import asyncio
import contextlib

from llamacpp.server.asgi import (
    JsonObject,
    Receive,
    Send,
    disconnected,
    respond,
    send_part,
    start_stream,
)
from llamacpp.server.errors import ApiError, BadRequest, Disconnected
from llamacpp.server.generation import Generation, GenerationFailure, StepOutput
from llamacpp.server.responses import DONE, ResponseEncoder, usage_of
from llamacpp.server.shape import AnswerShape, joined_logprobs
from llamacpp.server.tool_answers import ToolAnswer, WholeAnswer

Inbox = asyncio.Queue[StepOutput | None]
"""Outputs of one request's generations; None when the client has gone."""


async def next_output(inbox: Inbox) -> StepOutput:
    """Raises: Disconnected."""
    output = await inbox.get()
    if output is None:
        raise Disconnected
    return output


async def watch_disconnect(receive: Receive, inbox: Inbox) -> None:
    """Says in the inbox that the client has gone; runs as a task until then."""
    with contextlib.suppress(asyncio.CancelledError):
        await disconnected(receive)
        inbox.put_nowait(None)


def error_of(failure: GenerationFailure) -> ApiError:
    if failure.is_clients_fault:
        return BadRequest(failure.reason)
    return ApiError(500, "server_error", failure.reason)


async def stream_answer(
    encoder: ResponseEncoder,
    generations: list[Generation],
    inbox: Inbox,
    send: Send,
    *,
    with_usage: bool,
    shape: AnswerShape,
) -> None:
    """Raises: ApiError before the first byte; later failures are events of the stream."""
    stream = AnswerStream(encoder, generations, shape)
    output = await next_output(inbox)
    if output.failure is not None:
        raise error_of(output.failure)
    await start_stream(send)
    stream.begin()
    while True:
        stream.add(output)
        # Everything that arrived meanwhile goes out in one write.
        while not inbox.empty():
            stream.add(await next_output(inbox))
        if stream.unfinished == 0:
            break
        part = stream.take()
        await send_part(send, part, is_last=False)
        output = await next_output(inbox)
    if with_usage:
        usage = usage_of(generations)
        chunk = encoder.usage_chunk(usage)
        stream.parts.append(chunk)
    stream.parts.append(DONE)
    part = stream.take()
    await send_part(send, part, is_last=True)


class AnswerStream:
    """The events of a streamed answer that are not sent yet."""

    def __init__(
        self,
        encoder: ResponseEncoder,
        generations: list[Generation],
        shape: AnswerShape,
    ) -> None:
        self._encoder = encoder
        self._generations = generations
        self._shape = shape
        self._tools: dict[int, ToolAnswer] = {}
        if shape.tools is not None:
            for generation in generations:
                index = generation.index
                self._tools[index] = ToolAnswer(shape.tools.reader(), index)
        self.unfinished = len(generations)
        self.parts: list[bytes] = []

    def begin(self) -> None:
        """With the first token, not before it: a client may time its first event."""
        if not self._encoder.chat:
            self._repeat_prompts()
            return
        for generation in self._generations:
            chunk = self._encoder.role_chunk(generation.index)
            self.parts.append(chunk)

    def _repeat_prompts(self) -> None:
        for generation in self._generations:
            echo = self._shape.echo_of(generation)
            if echo is not None:
                self.parts.append(self._encoder.echo_chunk(generation.index, echo))

    def add(self, output: StepOutput) -> None:
        encoder = self._encoder
        index = output.generation.index
        if output.failure is not None:
            self.unfinished -= 1
            chunk = encoder.error_chunk(output.failure.reason)
            self.parts.append(chunk)
            return
        finish = output.finish
        tool_answer = self._tools.get(index)
        if tool_answer is not None:
            is_last = finish is not None
            self.parts += tool_answer.chunks(encoder, output.text, output.logprobs, is_last=is_last)
            finish = None if finish is None else tool_answer.finish(finish)
        elif output.text or output.logprobs:
            chunk = encoder.text_chunk(index, output.text, output.logprobs)
            self.parts.append(chunk)
        if finish is not None:
            self.unfinished -= 1
            chunk = encoder.finish_chunk(index, finish)
            self.parts.append(chunk)

    def take(self) -> bytes:
        body = b"".join(self.parts)
        self.parts.clear()
        return body


async def collect_answer(
    encoder: ResponseEncoder,
    generations: list[Generation],
    inbox: Inbox,
    send: Send,
    *,
    shape: AnswerShape,
) -> None:
    """Raises: ApiError if any of the generations fails."""
    outputs: list[list[StepOutput]] = [[] for _ in generations]
    unfinished = len(generations)
    while unfinished:
        output = await next_output(inbox)
        if output.failure is not None:
            raise error_of(output.failure)
        outputs[output.generation.index].append(output)
        if output.finish is not None:
            unfinished -= 1
    kept = shape.best(outputs)
    choices = [whole_choice(encoder, own, shape, index) for index, own in enumerate(kept)]
    body = encoder.whole(choices, usage_of(generations))
    await respond(send, 200, body)


def whole_choice(
    encoder: ResponseEncoder,
    outputs: list[StepOutput],
    shape: AnswerShape,
    index: int,
) -> JsonObject:
    """One choice, put together from all that its steps produced."""
    last = outputs[-1]
    texts = [output.text for output in outputs]
    text = "".join(texts)
    finish = last.finish or "stop"
    logprobs = joined_logprobs(outputs) if shape.shows_logprobs else []
    if shape.tools is None:
        echo = shape.echo_of(last.generation)
        return encoder.choice(index, text, logprobs, finish, echo=echo)
    answer = WholeAnswer(shape.tools.reader(), text)
    if answer.calls and answer.is_whole and finish == "stop":
        finish = "tool_calls"
    return encoder.choice(
        index, answer.content, logprobs, finish, answer.calls, thought=answer.thought
    )
