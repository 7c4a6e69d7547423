"""Sends what generations produce, token by token or at the end, to the client that asked."""

import asyncio

from llamacpp.server.asgi import Send, respond, send_part, start_stream
from llamacpp.server.errors import ApiError, Disconnected
from llamacpp.server.generation import Generation, GenerationFailure, StepOutput
from llamacpp.server.responses import DONE, ResponseEncoder, usage_of
from llamacpp.server.sampling import TokenLogprob

Inbox = asyncio.Queue[StepOutput | None]
"""Outputs of one request's generations; None when the client has gone."""


async def next_output(inbox: Inbox) -> StepOutput:
    """Raises: Disconnected."""
    output = await inbox.get()
    if output is None:
        raise Disconnected
    return output


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
) -> None:
    """Raises: ApiError before the first byte; later failures are events of the stream."""
    stream = AnswerStream(encoder, generations)
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
        await send_part(send, stream.take(), is_last=False)
        output = await next_output(inbox)
    if with_usage:
        stream.parts.append(encoder.usage_chunk(usage_of(generations)))
    stream.parts.append(DONE)
    await send_part(send, stream.take(), is_last=True)


class AnswerStream:
    """The events of a streamed answer that are not sent yet."""

    def __init__(self, encoder: ResponseEncoder, generations: list[Generation]) -> None:
        self._encoder = encoder
        self._index_of = {id(generation): i for i, generation in enumerate(generations)}
        self.unfinished = len(generations)
        self.parts: list[bytes] = []

    def begin(self) -> None:
        """With the first token, not before it: a client may time its first event."""
        if not self._encoder.chat:
            return
        for index in self._index_of.values():
            self.parts.append(self._encoder.role_chunk(index))

    def add(self, output: StepOutput) -> None:
        index = self._index_of[id(output.generation)]
        if output.failure is not None:
            self.parts.append(self._encoder.error_chunk(output.failure.reason))
            self.unfinished -= 1
            return
        if output.text or output.logprobs:
            self.parts.append(self._encoder.text_chunk(index, output.text, output.logprobs))
        if output.finish is not None:
            self.parts.append(self._encoder.finish_chunk(index, output.finish))
            self.unfinished -= 1

    def take(self) -> bytes:
        body = b"".join(self.parts)
        self.parts.clear()
        return body


async def collect_answer(
    encoder: ResponseEncoder, generations: list[Generation], inbox: Inbox, send: Send
) -> None:
    """Raises: ApiError if any of the generations fails."""
    outputs: dict[int, list[StepOutput]] = {id(generation): [] for generation in generations}
    unfinished = len(generations)
    while unfinished:
        output = await next_output(inbox)
        if output.failure is not None:
            raise error_of(output.failure)
        outputs[id(output.generation)].append(output)
        if output.finish is not None:
            unfinished -= 1
    choices = []
    for index, generation in enumerate(generations):
        own = outputs[id(generation)]
        text = "".join(output.text for output in own)
        finish = own[-1].finish or "stop"
        choices.append(encoder.choice(index, text, joined_logprobs(own), finish))
    await respond(send, 200, encoder.whole(choices, usage_of(generations)))


def joined_logprobs(outputs: list[StepOutput]) -> list[TokenLogprob]:
    joined: list[TokenLogprob] = []
    for output in outputs:
        joined += output.logprobs
    return joined
