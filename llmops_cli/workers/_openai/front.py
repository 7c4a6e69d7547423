"""An OpenAI-style server around an engine that computes tokens itself.

The engine answers each PendingCompletion from any thread with `put(tokens)` and `end(finish)`.
"""

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from _openai.answers import CompletionAnswer
from _openai.completion import PendingCompletion
from _openai.engine import TokenEngine
from _openai.errors import RequestError
from _openai.fields import Fields, body_of
from _openai.requests import RequestReader
from _openai.serving import (
    WATCH_EVERY_S,
    Address,
    Connections,
    metrics_text,
    models_of,
    run_server,
    tell_health,
)
from _shared.engine_board import EngineBoard
from _shared.http1 import HttpConnection, HttpRequest

COMPLETIONS = ("/v1/chat/completions", "/v1/completions")
PATHS = ("/health", "/v1/models", "/metrics", "/tokenize", *COMPLETIONS)

# An answer is JSON: texts, numbers and lists of objects.
Json = dict[str, Any]
Result = TypeVar("Result")


class Server:
    """Connections and routes; the engine does the rest."""

    def __init__(self, engine: TokenEngine) -> None:
        self._engine = engine
        self._reader = RequestReader(engine)
        self._readers = ThreadPoolExecutor(1, "reader")
        self._board = EngineBoard(engine.models[0])
        self._counts = {"requests": 0, "prompt_tokens": 0, "output_tokens": 0}
        self.connections = Connections(self._route)

    async def _route(self, request: HttpRequest, connection: HttpConnection) -> None:
        route = (request.method, request.path)
        if route == ("GET", "/health"):
            await tell_health(self._engine, connection)
        elif route == ("GET", "/v1/models"):
            await connection.reply(200, models_of(self._engine))
        elif route == ("GET", "/metrics"):
            await connection.reply(200, self._metrics())
        elif route == ("POST", "/tokenize"):
            tokenized = await self._tokenize(request)
            await connection.reply(200, tokenized)
        elif request.method == "POST" and request.path in COMPLETIONS:
            await self._complete(request, connection)
        else:
            status = 405 if request.path in PATHS else 404
            raise RequestError(f"no {request.method} {request.path} here", status=status)

    def _metrics(self) -> str:
        return metrics_text(self._engine.gauges(), self._counts, self._board)

    async def _apart(self, work: Callable[[], Result]) -> Result:
        """In the thread that reads bodies: a long prompt delays no token of others."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._readers, work)

    async def _tokenize(self, request: HttpRequest) -> Json:
        def read() -> list[int]:
            fields = Fields(body_of(request.body))
            return self._reader.tokens(fields)

        tokens = await self._apart(read)
        return {
            "tokens": tokens,
            "count": len(tokens),
            "max_model_len": self._engine.context,
        }

    async def _complete(self, request: HttpRequest, connection: HttpConnection) -> None:
        chat = "chat" in request.path
        wanted = await self._apart(
            lambda: self._reader.generation(Fields(body_of(request.body)), chat=chat)
        )
        completion = PendingCompletion(wanted)
        in_channels = chat and self._engine.has_channels
        decode = partial(self._engine.decode, with_marks=in_channels)
        answer = CompletionAnswer(completion, decode, in_channels=in_channels)
        self._counts["requests"] += 1
        self._counts["prompt_tokens"] += len(wanted.prompt)
        self._engine.submit(completion)
        watcher = asyncio.create_task(watch(connection, completion))
        try:
            if wanted.is_streamed:
                await answer.stream(connection)
            else:
                whole = await answer.collect()
                await connection.reply(200, whole)
        finally:
            completion.cancel()
            watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watcher  # it must have let go of the reader before the next request is read
            self._counts["output_tokens"] += len(completion.tokens)


async def watch(connection: HttpConnection, completion: PendingCompletion) -> None:
    """The client speaks only when the answer is over; an end before that means it has gone."""
    while not completion.finished:
        await asyncio.sleep(WATCH_EVERY_S)
        if connection.has_left:
            completion.cancel()
            return


def serve(engine: TokenEngine, address: Address) -> None:
    """Until SIGTERM, or until the engine computes nothing any more: whoever watches starts anew."""
    run_server(Server(engine).connections, engine, address)
