"""An OpenAI-style server around an engine that computes tokens itself. Standard library only.

The engine answers each PendingCompletion from any thread with `put(tokens)` and `end(finish)`.
"""

import asyncio
import contextlib
import signal
import sys
import time
import uuid
from collections.abc import Sequence
from typing import Any, Protocol

from _openai.completion import PendingCompletion
from _openai.decoder import IncrementalDecoder
from _shared.choices import closing_choice, opening_choice, piece_choice, usage_of, whole_choice
from _shared.http1 import MAX_HEAD_BYTES, EventStream, HttpError, HttpRequest, read_request, reply

WATCH_EVERY_S = 0.2
COMPLETIONS = ("/v1/chat/completions", "/v1/completions")

# The fields of a request are any JSON; what is read of them is converted there.
Json = dict[str, Any]


class TokenEngine(Protocol):
    """What computes: a model with its tokenizer, and its adapters as further models."""

    @property
    def models(self) -> Sequence[str]:
        """The model's name, then those of its adapters."""

    @property
    def context(self) -> int:
        """Tokens of prompt and answer together."""

    def encode_chat(self, messages: list[Json]) -> list[int]:
        """Tokens of a conversation, up to where the answer begins."""

    def encode_text(self, text: str) -> list[int]:
        """Tokens of a plain prompt."""

    def decode(self, tokens: list[int]) -> str:
        """Text of tokens, without special ones."""

    def submit(self, completion: PendingCompletion) -> None:
        """Begins to compute; returns at once."""

    def gauges(self) -> dict[str, float]:
        """What /metrics tells besides the counts."""


class Server:
    """Connections and routes; the engine does the rest."""

    def __init__(self, engine: TokenEngine) -> None:
        self._engine = engine
        self._counts = {"requests": 0, "prompt_tokens": 0, "output_tokens": 0}

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        gone = (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError)
        with contextlib.suppress(*gone):
            while True:
                await self._answer_next(reader, writer)
        writer.close()

    async def _answer_next(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            request = await read_request(reader)
            await self._route(request, reader, writer)
        except HttpError as error:
            body = error_body(error.status, str(error))
            await reply(writer, error.status, body)
        except (ValueError, TypeError, KeyError) as error:
            kind = type(error).__name__
            body = error_body(400, f"{kind}: {error}")
            await reply(writer, 400, body)

    async def _route(
        self,
        request: HttpRequest,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        route = (request.method, request.path)
        if route == ("GET", "/health"):
            await reply(writer, 200, {"status": "ok"})
        elif route == ("GET", "/v1/models"):
            await reply(writer, 200, self._models())
        elif route == ("GET", "/metrics"):
            await reply(writer, 200, self._metrics())
        elif route == ("POST", "/tokenize"):
            tokenized = self._tokenize(request.json())
            await reply(writer, 200, tokenized)
        elif request.method == "POST" and request.path in COMPLETIONS:
            await self._complete(request, reader, writer)
        else:
            raise HttpError(404, f"no {request.method} {request.path} here")

    def _models(self) -> Json:
        context = self._engine.context
        entries = []
        for name in self._engine.models:
            entry = {"id": name, "object": "model", "owned_by": "llmops", "max_model_len": context}
            entries.append(entry)
        return {"object": "list", "data": entries}

    def _metrics(self) -> str:
        values = self._engine.gauges()
        for name, count in self._counts.items():
            values[f"{name}_total"] = count
        lines = [f"llmops_{name} {value}\n" for name, value in values.items()]
        return "".join(lines)

    def _tokenize(self, fields: Json) -> Json:
        is_chat = "messages" in fields
        tokens = self._prompt_of(fields, chat=is_chat)
        return {
            "tokens": tokens,
            "count": len(tokens),
            "max_model_len": self._engine.context,
        }

    async def _complete(
        self,
        request: HttpRequest,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        fields = request.json()
        chat = "chat" in request.path
        completion = self._completion_of(fields, chat=chat)
        stops = stops_of(fields)
        decoder = IncrementalDecoder(self._engine.decode, stops)
        answer = CompletionAnswer(completion, decoder, chat=chat)
        self._counts["requests"] += 1
        self._counts["prompt_tokens"] += len(completion.prompt)
        self._engine.submit(completion)
        watcher = asyncio.create_task(watch(reader, completion))
        try:
            if fields.get("stream"):
                options = fields.get("stream_options") or {}
                with_usage = bool(options.get("include_usage"))
                await answer.stream(writer, with_usage=with_usage)
            else:
                whole = await answer.collect()
                await reply(writer, 200, whole)
        finally:
            completion.cancelled = True
            watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watcher  # it must have let go of the reader before the next request is read
            self._counts["output_tokens"] += len(completion.tokens)

    def _completion_of(self, fields: Json, *, chat: bool) -> PendingCompletion:
        """Raises: HttpError for what cannot be served."""
        engine = self._engine
        usual = engine.models[0]
        model = str(fields.get("model") or usual)
        if model not in engine.models:
            known = ", ".join(engine.models)
            raise HttpError(404, f"no model '{model}' here; there is {known}")
        answers = int(fields.get("n") or 1)
        if answers != 1:
            raise HttpError(400, "n: one answer a request")
        prompt = self._prompt_of(fields, chat=chat)
        room = engine.context - len(prompt)
        if not prompt or room < 1:
            message = f"the prompt has {len(prompt)} tokens; the context is {engine.context}"
            raise HttpError(400, message)
        return PendingCompletion(prompt, fields, room=room, model=model)

    def _prompt_of(self, fields: Json, *, chat: bool) -> list[int]:
        if chat:
            messages = fields.get("messages")
            if not messages:
                raise HttpError(400, "messages: at least one is needed")
            return self._engine.encode_chat(messages)
        prompt = fields.get("prompt", "")
        if not isinstance(prompt, list):
            return self._engine.encode_text(str(prompt))
        are_tokens = all(isinstance(part, int) for part in prompt)
        if prompt and are_tokens:
            return prompt
        if len(prompt) != 1:
            raise HttpError(400, "one prompt a request")
        text = str(prompt[0])
        return self._engine.encode_text(text)


class CompletionAnswer:
    """Writes one completion as it comes, or when it is whole."""

    def __init__(
        self,
        completion: PendingCompletion,
        text: IncrementalDecoder,
        *,
        chat: bool,
    ) -> None:
        self._completion = completion
        self._text = text
        self._chat = chat

    async def stream(self, writer: asyncio.StreamWriter, *, with_usage: bool) -> None:
        """Raises: HttpError if the engine fails before the first token."""
        events: EventStream | None = None
        finish: str | None = None
        while finish is None:
            tokens, finish, error = await self._completion.next_chunk()
            if events is None:
                if error:
                    raise HttpError(500, error)
                events = EventStream(writer)
                if self._chat:
                    events.send(self._event(opening_choice()))
            elif error:
                broken = self._event()
                broken["error"] = {"message": error}
                events.send(broken)
            text, finish = self._add(tokens, finish)
            if text:
                piece = piece_choice(text, chat=self._chat)
                events.send(self._event(piece))
            await events.drain()
        assert events is not None
        closing = closing_choice(finish, chat=self._chat)
        events.send(self._event(closing))
        if with_usage:
            usage = self._event()
            usage["usage"] = self._usage()
            events.send(usage)
        await events.end()

    def _event(self, *choices: Json) -> Json:
        base = self._base("chat.completion.chunk")
        return {**base, "choices": list(choices)}

    async def collect(self) -> Json:
        """Raises: HttpError if the engine fails."""
        whole = ""
        finish: str | None = None
        while finish is None:
            tokens, finish, error = await self._completion.next_chunk()
            if error:
                raise HttpError(500, error)
            text, finish = self._add(tokens, finish)
            whole += text
        choice = whole_choice(whole, finish, chat=self._chat)
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
            self._completion.cancelled = True
            finish = "stop"
        return text, finish

    def _base(self, chat_object: str) -> Json:
        kind = "chatcmpl" if self._chat else "cmpl"
        return {
            "id": f"{kind}-{uuid.uuid4().hex[:24]}",
            "created": int(time.time()),
            "object": chat_object if self._chat else "text_completion",
            "model": self._completion.model,
        }

    def _usage(self) -> dict[str, int]:
        prompt_tokens = len(self._completion.prompt)
        output_tokens = len(self._completion.tokens)
        return usage_of(prompt_tokens, output_tokens)


def error_body(status: int, message: str) -> Json:
    error = {"message": message, "type": "invalid_request_error", "code": status}
    return {"error": error}


def stops_of(fields: Json) -> list[str]:
    stops = fields.get("stop") or []
    if isinstance(stops, str):
        return [stops]
    return list(stops)


async def watch(reader: asyncio.StreamReader, completion: PendingCompletion) -> None:
    """The client speaks only when the answer is over; an end before that means it has gone."""
    while not completion.finished:
        await asyncio.sleep(WATCH_EVERY_S)
        if reader.at_eof():
            completion.cancelled = True
            return


def serve(engine: TokenEngine, port: int) -> None:
    """Until SIGTERM."""
    asyncio.run(_serve(engine, port))


async def _serve(engine: TokenEngine, port: int) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    connection = Server(engine).connection
    try:
        server = await asyncio.start_server(connection, "127.0.0.1", port, limit=MAX_HEAD_BYTES)
    except OSError as error:
        sys.exit(f"cannot listen on 127.0.0.1:{port}: {error.strerror}")
    names = ", ".join(engine.models)
    print(f"serving {names} on 127.0.0.1:{port}", flush=True)
    async with server:
        await stop.wait()
