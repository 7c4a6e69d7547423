"""The endpoint that answers with vectors."""

import asyncio
from typing import NamedTuple

import msgspec

from _shared.context import is_beyond, too_long
from _shared.embedding_queue import EmbeddingCall, EmbeddingQueue, EmbeddingsFull
from _shared.embeddings import (
    EmbeddingRequest,
    Json,
    check_tokens,
    embedding_answer,
    read_embedding_request,
)
from _shared.request_fields import FieldError
from _shared.wrong_body import wrong_body
from llamacpp.server.asgi import Receive, Send, apart, disconnected, read_body, respond
from llamacpp.server.embedder import VectorForm
from llamacpp.server.errors import ApiError, BadRequest, Disconnected
from llamacpp.server.metrics import ServerMetrics
from llamacpp.server.prefixes import Tokens
from llamacpp.server.requests import refuse_crowd
from llamacpp.server.vocabulary import Vocabulary

EMBEDDINGS_PATH = "/v1/embeddings"


class EmbeddingService(NamedTuple):
    """What computes vectors, and what a request is checked against."""

    model: str
    form: VectorForm
    queue: EmbeddingQueue


class WantedVectors(NamedTuple):
    """A request that was read: its texts as tokens, and the form of its answer."""

    texts: list[Tokens]
    encoding: str


class Embeddings:
    """Answers through one queue."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        service: EmbeddingService,
        metrics: ServerMetrics,
    ) -> None:
        self._vocabulary = vocabulary
        self._queue = service.queue
        self._metrics = metrics
        self._model = service.model
        self._form = service.form

    async def embed(self, receive: Receive, send: Send) -> None:
        body = await read_body(receive)
        wanted = await apart(body, lambda: self._read(body))
        call = EmbeddingCall(wanted.texts)
        self._submit(call)
        await finish(call, receive)
        answer = embedding_answer(
            call.vectors,
            model=self._model,
            encoding=wanted.encoding,
            prompt_tokens=call.tokens,
        )
        await respond(send, 200, msgspec.json.encode(answer))
        self._metrics.count(EMBEDDINGS_PATH, 200)

    def _read(self, body: bytes) -> WantedVectors:
        """Raises: ApiError."""
        fields = json_object(body)
        try:
            request = read_embedding_request(fields, dimensions=self._form.dimensions)
            self._check_model(request.model)
            return WantedVectors(self._texts_of(request), request.encoding)
        except FieldError as error:
            raise BadRequest(str(error), param=error.field) from error

    def _check_model(self, name: str) -> None:
        """Raises: ApiError."""
        own = self._model
        if name not in ("", own):
            message = f"no model '{name}' makes vectors here; {own} does"
            raise ApiError(404, "model_not_found", message, param="model")

    def _texts_of(self, request: EmbeddingRequest) -> list[Tokens]:
        """Raises: FieldError for what the model cannot read."""
        vocabulary = self._vocabulary
        texts = []
        for number, part in enumerate(request.inputs):
            tokens = self._text_tokens(part, number) if isinstance(part, str) else part
            check_tokens(
                tokens,
                number=number,
                vocabulary_size=vocabulary.size,
                most=self._form.longest,
            )
            texts.append(tokens)
        return texts

    def _text_tokens(self, text: str, number: int) -> Tokens:
        vocabulary = self._vocabulary
        longest = self._form.longest
        if is_beyond(len(text), context=longest, longest_token=vocabulary.longest_token):
            reason = too_long(longest, f"{len(text)} characters")
            raise FieldError("input", reason, place=f"[{number}]")
        return vocabulary.tokenize(text, add_special=True, parse_special=True)

    def _submit(self, call: EmbeddingCall) -> None:
        try:
            self._queue.submit(call)
        except EmbeddingsFull:
            message = "the queue is full; retry later"
            retry_after = (b"retry-after", b"1")
            raise ApiError(429, "overloaded_error", message, headers=[retry_after]) from None


async def finish(call: EmbeddingCall, receive: Receive) -> None:
    """Until its vectors are there. Raises: Disconnected, ApiError if they could not be made."""
    gone = asyncio.create_task(disconnected(receive))
    try:
        await asyncio.wait((call.done, gone), return_when=asyncio.FIRST_COMPLETED)
    finally:
        gone.cancel()
        call.cancelled = True  # the thread drops what it has not begun
    if not call.done.done():
        raise Disconnected
    error = call.done.exception()
    if error is not None:
        raise ApiError(500, "server_error", f"{type(error).__name__}: {error}")


def json_object(body: bytes) -> Json:
    """Raises: BadRequest."""
    refuse_crowd(body)
    try:
        return msgspec.json.decode(body, type=Json)
    except msgspec.ValidationError as error:
        raise BadRequest("the body is no JSON object") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequest(wrong_body(body)) from error
