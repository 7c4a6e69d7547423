"""The server of a model that makes vectors and no text. Standard library only."""

import asyncio
import contextlib
import dataclasses
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, Protocol, TypeVar

from _openai.errors import RequestError
from _openai.fields import body_of
from _openai.serving import (
    WATCH_EVERY_S,
    Address,
    Connections,
    metrics_text,
    models_of,
    run_server,
    tell_health,
)
from _shared.context import is_beyond, too_long
from _shared.embedding_queue import (
    EmbeddingCall,
    EmbeddingQueue,
    EmbeddingsFull,
    StepSize,
    Tokens,
)
from _shared.embeddings import (
    EmbeddingInput,
    check_tokens,
    embedding_answer,
    read_embedding_request,
)
from _shared.engine_board import EngineBoard
from _shared.http1 import HttpConnection, HttpRequest
from _shared.request_fields import FieldError, check_fields

EMBEDDINGS = "/v1/embeddings"
TOKENIZABLE = ("model", "content", "prompt")
TEXT_PATHS = ("/v1/chat/completions", "/v1/completions")
PATHS = ("/health", "/v1/models", "/metrics", "/tokenize", EMBEDDINGS, *TEXT_PATHS)

# An answer is JSON: texts, numbers and lists of objects.
Json = dict[str, Any]
Result = TypeVar("Result")


class VectorEngine(Protocol):
    """What computes vectors, in one thread; `encode_text` may be called from any."""

    @property
    def name(self) -> str: ...

    @property
    def dimensions(self) -> int:
        """Numbers of a vector."""

    @property
    def longest(self) -> int:
        """Most tokens of one text."""

    @property
    def vocabulary_size(self) -> int:
        """Every token is below."""

    @property
    def longest_token(self) -> int:
        """Characters that one token can stand for."""

    def encode_text(self, text: str) -> Tokens:
        """With the special tokens that the model wants around it."""

    def vectors(self, texts: list[Tokens]) -> list[bytes]:
        """One for each: float32, little-endian."""


class WantedVectors(NamedTuple):
    """A request that was read: its texts as tokens, and the form of its answer."""

    texts: list[Tokens]
    encoding: str


class VectorServer:
    """Routes; the engine does the rest."""

    def __init__(self, engine: VectorEngine, step: StepSize) -> None:
        self._engine = engine
        self._queue = EmbeddingQueue(lambda: engine, step)
        self._queue.start()
        self._readers = ThreadPoolExecutor(1, "reader")
        self.models = [engine.name]
        self._board = EngineBoard(engine.name)
        self.context = engine.longest
        self.connections = Connections(self._route)

    def failure(self) -> str | None:
        """Why it will compute nothing any more; None while it does."""
        return None if self._queue.alive else "the thread that computes has ended"

    async def _route(self, request: HttpRequest, connection: HttpConnection) -> None:
        route = (request.method, request.path)
        if route == ("GET", "/health"):
            await tell_health(self, connection)
        elif route == ("GET", "/v1/models"):
            await connection.reply(200, models_of(self))
        elif route == ("GET", "/metrics"):
            counts = dataclasses.asdict(self._queue.counters)
            await connection.reply(200, metrics_text({}, counts, self._board))
        elif route == ("POST", "/tokenize"):
            await connection.reply(200, await self._apart(lambda: self._tokenize(request)))
        elif route == ("POST", EMBEDDINGS):
            await connection.reply(200, await self._embed(request, connection))
        else:
            raise self._no_route(request)

    async def _apart(self, work: Callable[[], Result]) -> Result:
        """In the thread that reads bodies: a long text delays nobody else."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._readers, work)

    def _no_route(self, request: HttpRequest) -> RequestError:
        if request.method == "POST" and request.path in TEXT_PATHS:
            message = f"{self._engine.name} makes vectors and no text; POST {EMBEDDINGS}"
            return RequestError(message, param="model")
        status = 405 if request.path in PATHS else 404
        return RequestError(f"no {request.method} {request.path} here", status=status)

    def _tokenize(self, request: HttpRequest) -> Json:
        fields = body_of(request.body)
        try:
            check_fields(fields, known=TOKENIZABLE, server=self._engine.name)
        except FieldError as error:
            raise RequestError(str(error), param=error.field) from error
        text = fields.get("content", fields.get("prompt"))
        if not isinstance(text, str):
            raise RequestError("prompt: a text is needed", param="prompt")
        self._check_size(text, "prompt")
        tokens = self._engine.encode_text(text)
        return {"tokens": tokens, "count": len(tokens), "max_model_len": self.context}

    def _check_size(self, text: str, param: str) -> None:
        """What must be too long is not tokenized first."""
        engine = self._engine
        if is_beyond(len(text), context=engine.longest, longest_token=engine.longest_token):
            message = too_long(engine.longest, f"{len(text)} characters")
            raise RequestError(message, param=param)

    def _read(self, request: HttpRequest) -> WantedVectors:
        fields = body_of(request.body)
        try:
            wanted = read_embedding_request(fields, dimensions=self._engine.dimensions)
            self._check_model(wanted.model)
            texts = [self._tokens_of(number, part) for number, part in enumerate(wanted.inputs)]
        except FieldError as error:
            raise RequestError(str(error), param=error.field) from error
        return WantedVectors(texts, wanted.encoding)

    async def _embed(self, request: HttpRequest, connection: HttpConnection) -> Json:
        wanted = await self._apart(lambda: self._read(request))
        call = EmbeddingCall(wanted.texts)
        await self._computed(call, connection)
        return embedding_answer(
            call.vectors,
            model=self._engine.name,
            encoding=wanted.encoding,
            prompt_tokens=call.tokens,
        )

    def _check_model(self, name: str) -> None:
        if name not in ("", self._engine.name):
            message = f"no model '{name}' here; there is {self._engine.name}"
            raise RequestError(message, param="model", status=404)

    def _tokens_of(self, number: int, part: EmbeddingInput) -> Tokens:
        """Raises: FieldError for what the model cannot read."""
        if isinstance(part, str):
            self._check_size(part, "input")
            tokens = self._engine.encode_text(part)
        else:
            tokens = part
        check_tokens(
            tokens,
            number=number,
            vocabulary_size=self._engine.vocabulary_size,
            most=self._engine.longest,
        )
        return tokens

    async def _computed(self, call: EmbeddingCall, connection: HttpConnection) -> None:
        """Until its vectors are there, or its client has left."""
        try:
            self._queue.submit(call)
        except EmbeddingsFull:
            raise RequestError("the queue is full; retry later", status=429) from None
        try:
            while not call.done.done():
                if connection.has_left:
                    raise ConnectionResetError
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(asyncio.shield(call.done), WATCH_EVERY_S)
        finally:
            call.cancelled = True  # the thread drops what it has not begun


def serve_vectors(
    engine: VectorEngine,
    step: StepSize,
    address: Address,
) -> None:
    """Until SIGTERM."""
    server = VectorServer(engine, step)
    run_server(server.connections, server, address)
