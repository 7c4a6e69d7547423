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
from llamacpp.server.errors import ApiError, Disconnected
from llamacpp.server.generation import Generation, GenerationFailure, StepOutput
from llamacpp.server.responses import DONE, ResponseEncoder, usage_of
from llamacpp.server.sampling import TokenLogprob
from llamacpp.server.tool_answers import ToolAnswer, WholeAnswer
from llamacpp.server.tools import ToolUse

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
    status = 400 if failure.is_clients_fault else 500
    return ApiError(status, "server_error", failure.reason)


async def stream_answer(
    encoder: ResponseEncoder,
    generations: list[Generation],
    inbox: Inbox,
    send: Send,
    *,
    with_usage: bool,
    tools: ToolUse | None = None,
) -> None:
    """Raises: ApiError before the first byte; later failures are events of the stream."""
    stream = AnswerStream(encoder, generations, tools)
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
        tools: ToolUse | None = None,
    ) -> None:
        self._encoder = encoder
        self._generations = generations
        self._tools: dict[int, ToolAnswer] = {}
        if tools is not None:
            for generation in generations:
                index = generation.index
                self._tools[index] = ToolAnswer(tools.reader(), index)
        self.unfinished = len(generations)
        self.parts: list[bytes] = []

    def begin(self) -> None:
        """With the first token, not before it: a client may time its first event."""
        if not self._encoder.chat:
            return
        for generation in self._generations:
            chunk = self._encoder.role_chunk(generation.index)
            self.parts.append(chunk)

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
    tools: ToolUse | None = None,
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
    choices = [whole_choice(encoder, own, tools) for own in outputs]
    body = encoder.whole(choices, usage_of(generations))
    await respond(send, 200, body)


def whole_choice(
    encoder: ResponseEncoder,
    outputs: list[StepOutput],
    tools: ToolUse | None = None,
) -> JsonObject:
    """One choice, put together from all that its steps produced."""
    last = outputs[-1]
    texts = [output.text for output in outputs]
    text = "".join(texts)
    finish = last.finish or "stop"
    logprobs = joined_logprobs(outputs)
    index = last.generation.index
    if tools is None:
        return encoder.choice(index, text, logprobs, finish)
    answer = WholeAnswer(tools.reader(), text)
    if answer.calls and finish == "stop":
        finish = "tool_calls"
    return encoder.choice(index, answer.content, logprobs, finish, answer.calls)


def joined_logprobs(outputs: list[StepOutput]) -> list[TokenLogprob]:
    joined: list[TokenLogprob] = []
    for output in outputs:
        joined += output.logprobs
    return joined
