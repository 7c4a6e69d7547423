"""The OpenAI-style HTTP API over the scheduler, as a raw ASGI application."""

from collections.abc import Awaitable, Callable

from llamacpp.server.asgi import JsonObject, Receive, Scope, Send, read_body, respond, respond_json
from llamacpp.server.completions import CHAT_PATH, COMPLETIONS_PATH, Completions
from llamacpp.server.errors import ApiError, BadRequest, Disconnected
from llamacpp.server.metrics import ServerMetrics
from llamacpp.server.prefixes import Tokens
from llamacpp.server.prompts import PromptReader
from llamacpp.server.requests import TokenizeRequest, decode
from llamacpp.server.scheduler import Scheduler

Handler = Callable[[Receive, Send], Awaitable[None]]

CLIENT_CLOSED_REQUEST = 499
"""nginx's status for a client that went away."""

PROMETHEUS_TEXT = b"text/plain; version=0.0.4; charset=utf-8"


class OpenAiApp:
    """Routes requests; one per process."""

    def __init__(
        self,
        reader: PromptReader,
        scheduler: Scheduler,
        *,
        models: list[str],
        context: int,
    ) -> None:
        """`models`: the model's name, then those of its adapters, in their order."""
        self._reader = reader
        self._scheduler = scheduler
        self._models = models
        self._context = context
        self._metrics = ServerMetrics(scheduler)
        completions = Completions(reader, scheduler, self._metrics, models=models, context=context)
        self._routes: dict[tuple[str, str], Handler] = {
            ("GET", "/health"): self._answer_health,
            ("GET", "/metrics"): self._answer_metrics,
            ("GET", "/v1/models"): self._answer_models,
            ("POST", "/tokenize"): self._answer_tokenize,
            ("POST", CHAT_PATH): completions.chat,
            ("POST", COMPLETIONS_PATH): completions.complete,
        }

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
        route = (method, path)
        handler = self._routes.get(route)
        if handler is not None:
            return handler
        known_paths = {route for _, route in self._routes}
        status = 405 if path in known_paths else 404
        raise ApiError(status, "invalid_request_error", f"no {method} {path} here")

    async def _answer_health(self, _receive: Receive, send: Send) -> None:
        if self._scheduler.alive:
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

    def _model_entry(self, name: str) -> JsonObject:
        return {
            "id": name,
            "object": "model",
            "owned_by": "llmops",
            "max_model_len": self._context,
        }

    async def _answer_tokenize(self, receive: Receive, send: Send) -> None:
        request = decode(await read_body(receive), TokenizeRequest)
        tokens = self._tokens_of(request)
        reply: JsonObject = {
            "tokens": tokens,
            "count": len(tokens),
            "max_model_len": self._context,
        }
        await respond_json(send, reply)

    def _tokens_of(self, request: TokenizeRequest) -> Tokens:
        if request.messages is not None:
            return self._reader.chat(request.messages)
        text = request.text
        if text is None:
            raise BadRequest("one of content, prompt or messages is needed")
        return self._reader.vocabulary.tokenize(
            text, add_special=request.add_special_tokens, parse_special=True
        )


def error_body(error: ApiError) -> JsonObject:
    fields = {
        "message": error.message,
        "type": error.kind,
        "param": None,
        "code": error.status,
    }
    return {"error": fields}
