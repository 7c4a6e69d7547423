"""An OpenAI-style server around an engine that computes tokens itself. Standard library only.

The engine answers each PendingCompletion from any thread with `put(tokens)` and `end(finish)`.
"""

import asyncio
import contextlib
import os
import signal
import sys
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from _openai.answers import CompletionAnswer
from _openai.completion import PendingCompletion
from _openai.engine import TokenEngine
from _openai.errors import RequestError, error_body
from _openai.fields import Fields, body_of
from _openai.requests import RequestReader
from _shared.http1 import MAX_HEAD_BYTES, HttpError, HttpRequest, read_request, reply

WATCH_EVERY_S = 0.2
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
        self._counts = {"requests": 0, "prompt_tokens": 0, "output_tokens": 0}

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        gone = (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError)
        with contextlib.suppress(*gone):
            while await self._answer_next(reader, writer):
                pass
        writer.close()

    async def _answer_next(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """Whether the connection can have another request."""
        try:
            request = await read_request(reader)
        except HttpError as error:
            # where the next request would begin is not known
            await reply(writer, error.status, error_body(error.status, str(error)))
            return False
        try:
            await self._route(request, reader, writer)
        except RequestError as error:
            body = error_body(error.status, error.message, error.param)
            await reply(writer, error.status, body)
        except (ConnectionError, asyncio.IncompleteReadError):
            raise
        except Exception as error:  # noqa: BLE001 - one request of a kind that nobody thought of
            traceback.print_exc()
            await reply(writer, 500, error_body(500, f"{type(error).__name__}: {error}"))
        return True

    async def _route(
        self,
        request: HttpRequest,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        route = (request.method, request.path)
        if route == ("GET", "/health"):
            await self._tell_health(writer)
        elif route == ("GET", "/v1/models"):
            await reply(writer, 200, self._models())
        elif route == ("GET", "/metrics"):
            await reply(writer, 200, self._metrics())
        elif route == ("POST", "/tokenize"):
            tokenized = await self._tokenize(request)
            await reply(writer, 200, tokenized)
        elif request.method == "POST" and request.path in COMPLETIONS:
            await self._complete(request, reader, writer)
        else:
            status = 405 if request.path in PATHS else 404
            raise RequestError(f"no {request.method} {request.path} here", status=status)

    async def _tell_health(self, writer: asyncio.StreamWriter) -> None:
        """The health of what computes: a server that only answers here is of no use."""
        failure = self._engine.failure()
        if failure is None:
            await reply(writer, 200, {"status": "ok"})
        else:
            await reply(writer, 503, {"status": "stopped", "reason": failure})

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

    async def _complete(
        self,
        request: HttpRequest,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        chat = "chat" in request.path
        wanted = await self._apart(
            lambda: self._reader.generation(Fields(body_of(request.body)), chat=chat)
        )
        completion = PendingCompletion(wanted)
        answer = CompletionAnswer(completion, self._engine.decode)
        self._counts["requests"] += 1
        self._counts["prompt_tokens"] += len(wanted.prompt)
        self._engine.submit(completion)
        watcher = asyncio.create_task(watch(reader, completion))
        try:
            if wanted.is_streamed:
                await answer.stream(writer)
            else:
                whole = await answer.collect()
                await reply(writer, 200, whole)
        finally:
            completion.cancel()
            watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watcher  # it must have let go of the reader before the next request is read
            self._counts["output_tokens"] += len(completion.tokens)


async def watch(reader: asyncio.StreamReader, completion: PendingCompletion) -> None:
    """The client speaks only when the answer is over; an end before that means it has gone."""
    while not completion.finished:
        await asyncio.sleep(WATCH_EVERY_S)
        if reader.at_eof():
            completion.cancel()
            return


def serve(engine: TokenEngine, port: int) -> None:
    """Until SIGTERM, or until the engine computes nothing any more: whoever watches starts anew."""
    failure = asyncio.run(_serve(engine, port))
    if failure is not None:
        print(f"the engine has ended: {failure}", file=sys.stderr, flush=True)
        os._exit(1)  # threads of the engine would not let an exit through


async def _serve(engine: TokenEngine, port: int) -> str | None:
    """Why the engine failed; None for an end that was asked for."""
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
        return await _until_over(engine, stop)


async def _until_over(engine: TokenEngine, stop: asyncio.Event) -> str | None:
    while not stop.is_set():
        failure = engine.failure()
        if failure is not None:
            await asyncio.sleep(WATCH_EVERY_S)  # those who wait hear of it first
            return failure
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), WATCH_EVERY_S)
    return None
