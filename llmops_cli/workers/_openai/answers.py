"""One completion as it is sent: piece by piece as it comes, or when it is whole.

Standard library only.
"""

import time
import traceback
import uuid
from collections.abc import Callable
from typing import Any

from _openai.completion import PendingCompletion, TokenChunk
from _openai.decoder import IncrementalDecoder
from _openai.errors import RequestError
from _shared.choices import (
    closing_choice,
    opening_choice,
    piece_choice,
    thought_choice,
    usage_of,
    whole_choice,
)
from _shared.http1 import EventStream, HttpConnection
from _shared.tools.channels import ChannelReader
from _shared.tools.events import Content, Thought

# An answer is JSON: texts, numbers and lists of objects.
Json = dict[str, Any]


class CompletionAnswer:
    """Writes one completion."""

    def __init__(
        self,
        completion: PendingCompletion,
        decode: Callable[[list[int]], str],
        *,
        in_channels: bool = False,
    ) -> None:
        """`in_channels`: the text has the marks of channels, which are told apart."""
        self._completion = completion
        self._reader = ChannelReader(frozenset()) if in_channels else None
        self._chat = completion.request.chat
        stops = list(completion.request.stops)
        self._text = IncrementalDecoder(decode, stops)
        kind = "chatcmpl" if self._chat else "cmpl"
        self._id = f"{kind}-{uuid.uuid4().hex[:24]}"
        self._created = int(time.time())

    async def stream(self, connection: HttpConnection) -> None:
        """Raises: RequestError if the engine fails before the first token."""
        first = await self._completion.next_chunk()
        if first.error:
            raise RequestError(first.error, status=500)
        events = connection.events()
        try:
            await self._send(events, first)
        except ConnectionError:
            raise
        except Exception as error:
            # the head is out, so nothing but an end of the connection can tell it
            traceback.print_exc()
            raise ConnectionAbortedError from error

    async def _send(self, events: EventStream, chunk: TokenChunk) -> None:
        if self._chat:
            events.send(self._event(opening_choice()))
        while True:
            if chunk.error:
                broken = self._event()
                broken["error"] = {"message": chunk.error}
                events.send(broken)
            text, finish = self._add(chunk.tokens, chunk.finish)
            for piece in self._pieces(text, is_last=finish is not None):
                events.send(self._event(piece))
            await events.drain()
            if finish is not None:
                break
            chunk = await self._completion.next_chunk()
        closing = closing_choice(finish, chat=self._chat)
        events.send(self._event(closing))
        if self._completion.request.with_usage:
            usage = self._event()
            usage["usage"] = self._usage()
            events.send(usage)
        await events.end()

    def _pieces(self, text: str, *, is_last: bool) -> list[Json]:
        """The next choices of a stream."""
        if self._reader is None:
            return [piece_choice(text, chat=self._chat)] if text else []
        events = self._reader.feed(text)
        if is_last:
            events += self._reader.finish()
        pieces = []
        for event in events:
            if isinstance(event, Content):
                pieces.append(piece_choice(event.text, chat=True))
            elif isinstance(event, Thought):
                pieces.append(thought_choice(event.text))
        return pieces

    def _event(self, *choices: Json) -> Json:
        base = self._base("chat.completion.chunk")
        return {**base, "choices": list(choices)}

    async def collect(self) -> Json:
        """Raises: RequestError if the engine fails."""
        whole = ""
        finish: str | None = None
        while finish is None:
            chunk = await self._completion.next_chunk()
            if chunk.error:
                raise RequestError(chunk.error, status=500)
            text, finish = self._add(chunk.tokens, chunk.finish)
            whole += text
        thought = ""
        if self._reader is not None:
            parts = [*self._reader.feed(whole), *self._reader.finish()]
            whole = "".join(part.text for part in parts if isinstance(part, Content))
            thought = "".join(part.text for part in parts if isinstance(part, Thought))
        choice = whole_choice(whole, finish, chat=self._chat, thought=thought)
        return {
            **self._base("chat.completion"),
            "choices": [choice],
            "usage": self._usage(),
        }

    def _add(self, tokens: list[int], finish: str | None) -> tuple[str, str | None]:
        """The text that is certain now, and how the answer ended if it did."""
        is_last = finish is not None
        text = self._text.add(tokens, last=is_last)
        if self._text.stopped:
            self._completion.cancel()
            finish = "stop"
        return text, finish

    def _base(self, chat_object: str) -> Json:
        return {
            "id": self._id,
            "created": self._created,
            "object": chat_object if self._chat else "text_completion",
            "model": self._completion.request.model,
        }

    def _usage(self) -> dict[str, int]:
        prompt_tokens = len(self._completion.request.prompt)
        output_tokens = len(self._completion.tokens)
        return usage_of(prompt_tokens, output_tokens)
