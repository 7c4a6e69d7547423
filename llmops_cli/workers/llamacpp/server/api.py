"""The OpenAI-style HTTP API over the scheduler, as a raw ASGI application."""

from collections.abc import Awaitable, Callable

from _shared.build import model_digest
from llamacpp.server.asgi import (
    JsonObject,
    Receive,
    Scope,
    Send,
    apart,
    check_head,
    read_body,
    respond,
    respond_json,
)
from llamacpp.server.completions import CHAT_PATH, COMPLETIONS_PATH, Completions
from llamacpp.server.embeddings import EMBEDDINGS_PATH, Embeddings, EmbeddingService
from llamacpp.server.errors import ApiError, BadRequest, Disconnected
from llamacpp.server.grammars import Grammars
from llamacpp.server.metrics import ServerMetrics
from llamacpp.server.prefixes import Tokens
from llamacpp.server.prompts import PromptReader
from llamacpp.server.requests import TokenizeRequest, decode
from llamacpp.server.scheduler import Scheduler

Handler = Callable[[Receive, Send], Awaitable[None]]

MODEL_PREFIX = "/v1/models/"
CLIENT_CLOSED_REQUEST = 499
"""nginx's status for a client that went away."""

PROMETHEUS_TEXT = b"text/plain; version=0.0.4; charset=utf-8"


class OpenAiApp:
    """Routes requests; one per process."""

    def __init__(
        self,
        reader: PromptReader,
        scheduler: Scheduler | None,
        embedding: EmbeddingService | None = None,
        *,
        grammars: Grammars,
        models: list[str],
        context: int,
    ) -> None:
        """`models`: the model's name, then those of its adapters, in their order.

        `scheduler` None: the model makes vectors only. `embedding` None: it makes none.
        """
        self._reader = reader
        self._scheduler = scheduler
        self._embedding = embedding
        self._grammars = grammars
        self._models = models
        self._context = context
        queue = embedding.queue if embedding else None
        self._metrics = ServerMetrics(scheduler, queue, model=models[0])
        self._routes: dict[tuple[str, str], Handler] = {
            ("GET", "/health"): self._answer_health,
            ("GET", "/metrics"): self._answer_metrics,
            ("GET", "/v1/models"): self._answer_models,
            ("POST", "/tokenize"): self._answer_tokenize,
            ("POST", CHAT_PATH): self._refuse_to_generate,
            ("POST", COMPLETIONS_PATH): self._refuse_to_generate,
        }
        self._add_completions(scheduler)
        self._add_embeddings(embedding)

    def _add_completions(self, scheduler: Scheduler | None) -> None:
        if scheduler is None:
            return
        completions = Completions(
            self._reader,
            scheduler,
            self._metrics,
            grammars=self._grammars,
            models=self._models,
            context=self._context,
        )
        self._routes["POST", CHAT_PATH] = completions.chat
        self._routes["POST", COMPLETIONS_PATH] = completions.complete

    def _add_embeddings(self, service: EmbeddingService | None) -> None:
        if service is None:
            return
        embeddings = Embeddings(self._reader.vocabulary, service, self._metrics)
        self._routes["POST", EMBEDDINGS_PATH] = embeddings.embed

    async def __call__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        if scope["type"] != "http":
            return
        path = scope["path"]
        try:
            check_head(scope)
            handler = self._handler(scope["method"], path)
            await handler(receive, send)
        except ApiError as error:
            self._metrics.count(path, error.status)
            body = error_body(error)
            await respond_json(send, body, status=error.status, headers=error.headers)
        except Disconnected:
            self._metrics.count(path, CLIENT_CLOSED_REQUEST)

    def _handler(self, method: str, path: str) -> Handler:
        """Raises: ApiError for what is not served here."""
        # uvicorn leaves the body of an answer to HEAD out.
        route = ("GET" if method == "HEAD" else method, path)
        handler = self._routes.get(route)
        if handler is not None:
            return handler
        if path.startswith(MODEL_PREFIX) and route[0] == "GET":
            return self._model_handler(path.removeprefix(MODEL_PREFIX))
        known_paths = {route for _, route in self._routes}
        status = 405 if path in known_paths else 404
        raise ApiError(status, "invalid_request_error", f"no {method} {path} here")

    async def _refuse_to_generate(self, receive: Receive, _send: Send) -> None:
        await read_body(receive)
        message = f"{self._models[0]} makes vectors and no text; POST {EMBEDDINGS_PATH}"
        raise BadRequest(message, param="model")

    @property
    def _alive(self) -> bool:
        """Whether every thread that computes still does."""
        can_generate = self._scheduler is None or self._scheduler.alive
        can_embed = self._embedding is None or self._embedding.queue.alive
        return can_generate and can_embed

    async def _answer_health(self, _receive: Receive, send: Send) -> None:
        if self._alive:
            await respond_json(send, {"status": "ok"})
        else:
            await respond_json(send, {"status": "stopped"}, status=503)

    async def _answer_metrics(self, _receive: Receive, send: Send) -> None:
        text = self._metrics.text()
        await respond(send, 200, text, content_type=PROMETHEUS_TEXT)

    async def _answer_models(self, _receive: Receive, send: Send) -> None:
        entries = [self._model_entry(name) for name in self._models]
        listing: JsonObject = {"object": "list", "data": entries}
        await respond_json(send, listing)

    def _model_handler(self, name: str) -> Handler:
        """Raises: ApiError for a model that is not here."""
        if name not in self._models:
            known = ", ".join(self._models)
            message = f"no model '{name}' here; there is {known}"
            raise ApiError(404, "model_not_found", message, param="model")

        async def answer(_receive: Receive, send: Send) -> None:
            await respond_json(send, self._model_entry(name))

        return answer

    def _model_entry(self, name: str) -> JsonObject:
        """`digest`: of the model, not of its adapters."""
        entry: JsonObject = {
            "id": name,
            "object": "model",
            "owned_by": "llmops",
            "max_model_len": self._context,
        }
        digest = model_digest()
        if digest and name == self._models[0]:
            entry["digest"] = digest
        return entry

    async def _answer_tokenize(self, receive: Receive, send: Send) -> None:
        body = await read_body(receive)
        tokens = await apart(body, lambda: self._tokens_of(decode(body, TokenizeRequest)))
        reply: JsonObject = {
            "tokens": tokens,
            "count": len(tokens),
            "max_model_len": self._context,
        }
        await respond_json(send, reply)

    def _tokens_of(self, request: TokenizeRequest) -> Tokens:
        if request.messages is not None:
            return self._reader.chat(
                request.messages,
                tools=request.tools,
                fields=request.chat_template_kwargs,
            )
        text = request.text
        if text is None:
            raise BadRequest("one of content, prompt or messages is needed", param="prompt")
        return self._reader.text_tokens(text, "prompt", add_special=request.add_special_tokens)


def error_body(error: ApiError) -> JsonObject:
    fields = {
        "message": error.message,
        "type": error.kind,
        "param": error.param,
        "code": error.status,
    }
    return {"error": fields}
