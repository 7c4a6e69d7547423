"""The OpenAI-style HTTP API over the scheduler, as a raw ASGI application."""

import asyncio
import contextlib
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from llamacpp.server.binding import Llama
from llamacpp.server.chat import ChatTemplate
from llamacpp.server.metrics import Metrics
from llamacpp.server.scheduler import Event, Generation, QueueFull, Scheduler
from llamacpp.server.wire import (
    BadRequest,
    ChatRequest,
    Common,
    CompletionRequest,
    Shape,
    TokenizeRequest,
    chat_logprobs,
    completion_logprobs,
    sampling_of,
    stops_of,
    usage_of,
)

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
MAX_BODY_BYTES = 32 << 20


class Refused(Exception):
    """An error response: status, OpenAI's error type, message."""

    def __init__(
        self, status: int, kind: str, message: str, headers: list[tuple[bytes, bytes]] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.message = message
        self.headers = headers or []


class Disconnected(Exception):
    """The client went away."""


class App:
    """Routes requests; one per process."""

    def __init__(
        self,
        llama: Llama,
        scheduler: Scheduler,
        *,
        models: list[str],
        context: int,
        template: ChatTemplate | None,
    ) -> None:
        """`models`: the model's name, then those of its adapters, in their order."""
        self._llama = llama
        self._scheduler = scheduler
        self._names = models
        self._context = context
        self._template = template
        self._metrics = Metrics(scheduler)
        self._routes: dict[tuple[str, str], Callable[[Scope, Receive, Send], Awaitable[None]]] = {
            ("GET", "/health"): self._health,
            ("GET", "/metrics"): self._serve_metrics,
            ("GET", "/v1/models"): self._models,
            ("POST", "/tokenize"): self._tokenize,
            ("POST", "/v1/chat/completions"): self._chat,
            ("POST", "/v1/completions"): self._completion,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        path = scope["path"]
        handler = self._routes.get((scope["method"], path))
        try:
            if handler is None:
                known = [method for method, route in self._routes if route == path]
                status = 405 if known else 404
                raise Refused(status, "invalid_request_error", f"no {scope['method']} {path} here")
            await handler(scope, receive, send)
        except Refused as error:
            self._metrics.count(path, error.status)
            body = {
                "error": {
                    "message": error.message,
                    "type": error.kind,
                    "param": None,
                    "code": error.status,
                }
            }
            await respond(send, error.status, msgspec.json.encode(body), headers=error.headers)
        except Disconnected:
            self._metrics.count(path, 499)

    # -- plain endpoints
    # -------------------------------------------------------------------------------

    async def _health(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        ok = self._scheduler.alive
        await respond(
            send, 200 if ok else 503, msgspec.json.encode({"status": "ok" if ok else "stopped"})
        )

    async def _serve_metrics(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        await respond(
            send,
            200,
            self._metrics.text(),
            content_type=b"text/plain; version=0.0.4; charset=utf-8",
        )

    async def _models(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        data = [
            {"id": name, "object": "model", "owned_by": "llmops", "max_model_len": self._context}
            for name in self._names
        ]
        await respond(send, 200, msgspec.json.encode({"object": "list", "data": data}))

    async def _tokenize(self, _scope: Scope, receive: Receive, send: Send) -> None:
        request = decode(await read_body(receive), TokenizeRequest)
        if request.messages is not None:
            tokens = self._render(request.messages)
        else:
            text = request.content if request.content is not None else request.prompt
            if text is None:
                raise Refused(
                    400, "invalid_request_error", "one of content, prompt or messages is needed"
                )
            tokens = self._llama.tokenize(
                text, add_special=request.add_special_tokens, parse_special=True
            )
        reply = {"tokens": tokens, "count": len(tokens), "max_model_len": self._context}
        await respond(send, 200, msgspec.json.encode(reply))

    # -- generation
    # ------------------------------------------------------------------------------------

    async def _chat(self, _scope: Scope, receive: Receive, send: Send) -> None:
        request = decode(await read_body(receive), ChatRequest)
        more = {
            **request.chat_template_kwargs,
            **({"tools": request.tools} if request.tools else {}),
        }
        prompt = self._render(request.messages, **more)
        limit = (
            request.max_completion_tokens
            if request.max_completion_tokens is not None
            else request.max_tokens
        )
        top = (request.top_logprobs or 0) if request.logprobs else -1
        await self._generate("/v1/chat/completions", request, [prompt], limit, top, receive, send)

    async def _completion(self, _scope: Scope, receive: Receive, send: Send) -> None:
        request = decode(await read_body(receive), CompletionRequest)
        if request.echo:
            raise Refused(400, "invalid_request_error", "echo is not supported")
        prompts = [self._tokens_of(part) for part in split_prompts(request.prompt)]
        top = -1 if request.logprobs is None else request.logprobs
        limit = (
            16 if request.max_tokens is None else request.max_tokens
        )  # OpenAI's default for this endpoint
        await self._generate("/v1/completions", request, prompts, limit, top, receive, send)

    def _tokens_of(self, prompt: str | list[int]) -> list[int]:
        if isinstance(prompt, str):
            return self._llama.tokenize(prompt, add_special=True, parse_special=True)
        if any(not 0 <= token < self._llama.vocab_size for token in prompt):
            raise Refused(
                400, "invalid_request_error", "prompt: a token id is not in the vocabulary"
            )
        return list(prompt)

    def _render(self, messages: list[dict[str, Any]], **more: Any) -> list[int]:
        if self._template is None:
            raise Refused(
                400, "invalid_request_error", "this model has no chat template; use /v1/completions"
            )
        if not messages:
            raise Refused(400, "invalid_request_error", "messages: at least one is needed")
        try:
            text = self._template.render([flatten(message) for message in messages], **more)
        except ValueError as error:
            raise Refused(400, "invalid_request_error", str(error)) from error
        bos = self._llama.bos_text()
        return self._llama.tokenize(
            text, add_special=not (bos and text.startswith(bos)), parse_special=True
        )

    async def _generate(
        self,
        path: str,
        request: Common,
        prompts: list[list[int]],
        limit: int | None,
        top: int,
        receive: Receive,
        send: Send,
    ) -> None:
        chat = path.startswith("/v1/chat")
        model = request.model or self._names[0]
        if model not in self._names:
            raise Refused(
                404,
                "model_not_found",
                f"no model '{model}' here; there is {', '.join(self._names)}",
            )
        inbox: asyncio.Queue[Event | None] = asyncio.Queue()
        generations = self._make_generations(request, prompts, limit, top, inbox)
        for generation in generations:
            generation.adapter = self._names.index(model)
        try:
            self._scheduler.submit(generations)
        except QueueFull as full:
            header = [(b"retry-after", str(full.retry_after_s).encode())]
            raise Refused(
                429, "overloaded_error", "the queue is full; retry later", header
            ) from None
        shape = Shape(
            chat=chat,
            identity=("chatcmpl-" if chat else "cmpl-") + uuid.uuid4().hex[:24],
            model=model,
        )
        watcher = asyncio.create_task(watch_disconnect(receive, inbox))
        try:
            writer = self._stream if request.stream else self._collect
            await writer(request, shape, generations, inbox, send)
            self._metrics.count(path, 200)
        finally:
            watcher.cancel()
            for generation in generations:
                generation.cancelled = True  # the scheduler drops it before its next step
            self._metrics.observe(generations)

    def _make_generations(
        self,
        request: Common,
        prompts: list[list[int]],
        limit: int | None,
        top: int,
        inbox: asyncio.Queue[Event | None],
    ) -> list[Generation]:
        try:
            params = sampling_of(request, top, self._llama.vocab_size)
            stops = stops_of(request)
        except BadRequest as error:
            raise Refused(400, "invalid_request_error", str(error)) from error
        generations = []
        for prompt in prompts:
            room = self._context - len(prompt)
            if not prompt:
                raise Refused(400, "invalid_request_error", "the prompt is empty")
            if room < 1:
                message = f"the prompt has {len(prompt)} tokens; a context of {self._context} leaves no room to answer"
                raise Refused(400, "context_length_exceeded", message)
            most = room if limit is None else min(max(limit, 1), room)
            for i in range(request.n):
                seeded = (
                    msgspec.structs.replace(params, seed=params.seed + i)
                    if params.seed is not None
                    else params
                )
                generations.append(
                    Generation(
                        prompt, seeded, max_tokens=most, stops=stops, deliver=inbox.put_nowait
                    )
                )
        return generations

    def _logprobs(self, shape: Shape, event: Event) -> Any:
        if not event.logprobs:
            return None
        convert = chat_logprobs if shape.chat else completion_logprobs
        return convert(event.logprobs, self._llama.piece)

    async def _stream(
        self,
        request: Common,
        shape: Shape,
        generations: list[Generation],
        inbox: asyncio.Queue[Event | None],
        send: Send,
    ) -> None:
        index_of = {id(generation): i for i, generation in enumerate(generations)}
        started = False
        open_count = len(generations)
        while open_count:
            event = await next_event(inbox)
            if event.error and not started:
                raise Refused(400 if "grammar" in event.error else 500, "server_error", event.error)
            parts: list[bytes] = []
            if not started:
                await start_stream(send)
                started = True
                if (
                    shape.chat
                ):  # with the first token, not before it: a client may time its first event
                    parts = [
                        shape.chunk(i, "", None, None, role=True) for i in range(len(generations))
                    ]
            while True:  # everything that arrived meanwhile goes out in one write
                index = index_of[id(event.generation)]
                if event.error:
                    parts.append(
                        b"data: "
                        + msgspec.json.encode({"error": {"message": event.error}})
                        + b"\n\n"
                    )
                elif event.text or event.logprobs:
                    parts.append(shape.chunk(index, event.text, self._logprobs(shape, event), None))
                if event.finish:
                    open_count -= 1
                    if not event.error:
                        parts.append(shape.chunk(index, "", None, event.finish))
                if inbox.empty():
                    break
                event = await next_event(inbox)
            if not open_count:
                if request.stream_options and request.stream_options.include_usage:
                    parts.append(shape.usage_chunk(total_usage(generations)))
                parts.append(b"data: [DONE]\n\n")
            await send(
                {"type": "http.response.body", "body": b"".join(parts), "more_body": open_count > 0}
            )

    async def _collect(
        self,
        _request: Common,
        shape: Shape,
        generations: list[Generation],
        inbox: asyncio.Queue[Event | None],
        send: Send,
    ) -> None:
        events: dict[int, list[Event]] = {id(generation): [] for generation in generations}
        open_count = len(generations)
        while open_count:
            event = await next_event(inbox)
            if event.error:
                raise Refused(400 if "grammar" in event.error else 500, "server_error", event.error)
            events[id(event.generation)].append(event)
            open_count -= event.finish is not None
        choices = []
        for index, generation in enumerate(generations):
            mine = events[id(generation)]
            merged = Event(
                generation,
                "".join(e.text for e in mine),
                [p for e in mine for p in e.logprobs],
                mine[-1].finish,
            )
            choices.append(
                shape.choice(
                    index, merged.text, self._logprobs(shape, merged), merged.finish or "stop"
                )
            )
        await respond(send, 200, shape.whole(choices, total_usage(generations)))


def split_prompts(given: Any) -> list[Any]:
    """OpenAI takes a text, a list of texts, a list of token ids, or a list of such lists."""
    if isinstance(given, str):
        return [given]
    if given and all(isinstance(part, int) for part in given):
        return [given]
    if any(isinstance(part, int) for part in given):
        raise Refused(400, "invalid_request_error", "prompt: mixes token ids with texts")
    return list(given) or [""]


def flatten(message: dict[str, Any]) -> dict[str, Any]:
    """Content given as text parts becomes one string, which is what templates of text models
    expect.
    """
    content = message.get("content")
    if not isinstance(message.get("role"), str):
        raise Refused(400, "invalid_request_error", "messages: each needs a role")
    if isinstance(content, list):
        if any(not isinstance(part, dict) or part.get("type") != "text" for part in content):
            raise Refused(400, "invalid_request_error", "messages: only text parts are supported")
        return {**message, "content": "".join(part.get("text", "") for part in content)}
    return {**message, "content": content or ""}


def total_usage(generations: list[Generation]) -> dict[str, Any]:
    """A prompt that several choices share is counted once, as OpenAI does."""
    prompts = {tuple(g.tokens[: g.prompt_tokens]): g for g in reversed(generations)}
    return usage_of(
        sum(g.prompt_tokens for g in prompts.values()),
        sum(g.output_tokens for g in generations),
        sum(g.cached_tokens or 0 for g in prompts.values()),
    )


def decode(body: bytes, kind: Any) -> Any:
    try:
        return msgspec.json.decode(body, type=kind, strict=False)
    except msgspec.ValidationError as error:
        raise Refused(400, "invalid_request_error", str(error).replace("`", "")) from error
    except msgspec.DecodeError as error:
        raise Refused(400, "invalid_request_error", f"the body is not JSON: {error}") from error


async def read_body(receive: Receive) -> bytes:
    parts = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MAX_BODY_BYTES:
            raise Refused(
                413, "invalid_request_error", f"the body is over {MAX_BODY_BYTES >> 20} MiB"
            )
        if not message.get("more_body"):
            return b"".join(parts)


async def watch_disconnect(receive: Receive, inbox: asyncio.Queue[Event | None]) -> None:
    with contextlib.suppress(asyncio.CancelledError):
        while (await receive())["type"] != "http.disconnect":
            pass
        inbox.put_nowait(None)


async def next_event(inbox: asyncio.Queue[Event | None]) -> Event:
    event = await inbox.get()
    if event is None:
        raise Disconnected
    return event


async def respond(
    send: Send,
    status: int,
    body: bytes,
    *,
    content_type: bytes = b"application/json",
    headers: list[tuple[bytes, bytes]] | None = None,
) -> None:
    base = [(b"content-type", content_type), (b"content-length", str(len(body)).encode())]
    await send(
        {"type": "http.response.start", "status": status, "headers": [*base, *(headers or [])]}
    )
    await send({"type": "http.response.body", "body": body})


async def start_stream(send: Send) -> None:
    headers = [
        (b"content-type", b"text/event-stream; charset=utf-8"),
        (b"cache-control", b"no-cache"),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
